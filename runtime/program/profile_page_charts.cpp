#include "profile_page.h"

namespace resnetc::program {

const char* const profile_page_charts = R"js(// ---- roofline
const log_ticks = (low, high, digits) => {
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    for (const digit of digits)
      if (digit * 10 ** e >= low && digit * 10 ** e <= high) ticks.push(digit * 10 ** e);
  return ticks;
};
function roofline(box) {
  // What multiplies nothing has no place here; what takes next to no time would only make the others small.
  const plotted = kernel => kernel.flop > 0 && kernel.ms > 0 && kernel.share >= 0.002;
  const shown = kernels.map((kernel, k) => [kernel, k]).filter(([kernel]) => plotted(kernel));
  const hidden = kernels.filter(kernel => !plotted(kernel)).reduce((sum, kernel) => sum + kernel.share, 0);
  by_id('unplotted').textContent =
      hidden > 0 ? ` Left out: kernels that multiply nothing or take next to no time, ${percent(hidden)} in all.` : '';
  const width = box.clientWidth, height = Math.round(Math.min(480, Math.max(300, width * 0.46)));
  const left = 50, right = 14, top = 12, bottom = 42;
  const peak = machine.peak_gflops, bandwidth = machine.memory_gbytes_per_second, ridge = peak / bandwidth;
  const xs = [ridge, ...shown.map(([kernel]) => kernel.flop_per_byte)],
        ys = [peak, ...shown.map(([kernel]) => kernel.gflops)];
  const x_low = Math.min(...xs) / 2, x_high = Math.max(...xs) * 2.2, y_high = Math.max(...ys) * 1.7;
  const y_low = Math.min(Math.min(...ys) / 1.8, peak / 8);
  const x = value => left + (width - left - right) * Math.log(value / x_low) / Math.log(x_high / x_low);
  const y = value => height - bottom - (height - top - bottom) * Math.log(value / y_low) / Math.log(y_high / y_low);
  const svg = picture(width, height, 'Roofline plot: GFLOP/s over operations a byte');
  const decades = Math.log10(x_high / x_low);
  for (const tick of log_ticks(x_low, x_high, decades > 2.6 && width < 700 ? [1] : [1, 2, 5]))
    svg.append(
        draw('line', {class: 'grid', x1: x(tick), x2: x(tick), y1: top, y2: height - bottom}),
        draw('text', {x: x(tick), y: height - bottom + 16, 'text-anchor': 'middle'}, round(tick)));
  for (const tick of log_ticks(y_low, y_high, Math.log10(y_high / y_low) > 2.6 ? [1] : [1, 2, 5]))
    svg.append(
        draw('line', {class: 'grid', x1: left, x2: width - right, y1: y(tick), y2: y(tick)}),
        draw('text', {x: left - 7, y: y(tick) + 4, 'text-anchor': 'end'}, round(tick)));
  svg.append(
      draw('text', {x: (left + width - right) / 2, y: height - 6, 'text-anchor': 'middle'}, 'FLOP a byte moved'),
      draw(
          'text', {transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, 'text-anchor': 'middle'},
          'GFLOP/s'));
  // The slope starts where it enters the plot.
  const start = Math.max(x_low, y_low / bandwidth);
  const roof = `M${x(start)} ${y(start * bandwidth)}L${x(ridge)} ${y(peak)}L${x(x_high)} ${y(peak)}`;
  svg.append(
      draw('path', {class: 'below', d: `${roof}V${height - bottom}H${x(start)}Z`}),
      draw('path', {class: 'roof', d: roof}));
  const angle = Math.atan2(y(peak) - y(start * bandwidth), x(ridge) - x(start)) * 180 / Math.PI;
  const middle = Math.sqrt(start * ridge);
  svg.append(
      draw('text', {class: 'roof-name', x: x(ridge) + 4, y: y(peak) - 8}, `peak ${round(peak)} GFLOP/s`),
      draw(
          'text', {
            class: 'roof-name',
            transform: `translate(${x(middle)} ${y(middle * bandwidth)}) rotate(${angle})`,
            y: -8,
            'text-anchor': 'middle'
          },
          `memory ${round(bandwidth)} GB/s`));
  const largest = Math.max(...kernels.map(kernel => kernel.share)), radius = Math.min(22, width / 34);
  const circles = shown.map(([kernel]) => ({
                              cx: x(kernel.flop_per_byte),
                              cy: y(kernel.gflops),
                              r: Math.max(4, radius * Math.sqrt(kernel.share / largest))
                            }));
  shown.forEach(([kernel, k], i) => {
    const circle = circles[i];
    svg.append(mark(
        'roofline', k, draw('circle', {class: 'point', ...circle, fill: kernel_colour(k)}), kernel_tip(kernel, k)));
    // A smaller one that comes later lies on top of this one's number.
    const covered = circles.slice(i + 1).some(({cx, cy, r}) => Math.hypot(cx - circle.cx, cy - circle.cy) < r + 6);
    if (circle.r >= 9 && !covered) svg.append(draw('text', {class: 'number', x: circle.cx, y: circle.cy + 4}, k + 1));
  });
  return svg;
}

// ---- time line: wrapped like text, so that bars stay wide enough to be seen
function time_line(box) {
  const width = box.clientWidth, left = 66, right = 4, room = width - left - right;
  const line = profile.time_line_us, total = line[line.length - 1];
  const rows = Math.min(24, Math.max(1, Math.ceil(steps.length * 26 / room)));
  const tall = rows === 1 ? 54 : rows <= 4 ? 34 : 20, pitch = tall + (rows <= 4 ? 12 : 6), span = total / rows;
  by_id('line-note').textContent =
      `${on_device ? 'The round whose sum' : 'The run whose time'} is the median, ${duration(total / 1e3)}; a bar for each of the ${
          steps.length} steps, with the ` +
      `number of its kernel.` + (rows > 1 ? ` Read it like text: each line goes on where the one above ends.` : '');
  const svg = picture(width, rows * pitch + 14, 'Time line of one inference');
  const places = span >= 5e5 ? 0 :
      span >= 5e3            ? 1 :
                               2,
        moment = us => total >= 1000 ? (us / 1e3).toFixed(places) + ' ms' : us.toFixed(0) + ' µs';
  const scale = room / span;
  for (let row = 0; row < rows; row++)
    svg.append(
        draw('rect', {class: 'track', x: left, y: row * pitch, width: room, height: tall, rx: 2}),
        draw(
            'text', {x: left - 8, y: row * pitch + tall / 2 + 4, 'text-anchor': 'end'},
            row === 0 ? '0' : moment(row * span)));
  svg.append(draw('text', {x: width - right, y: rows * pitch + 10, 'text-anchor': 'end'}, moment(total)));
  steps.forEach((step, s) => {
    let start = line[2 * s];
    for (let row = Math.min(rows - 1, Math.floor(start / span)); start < line[2 * s + 1]; row++) {
      const end = row === rows - 1 ? line[2 * s + 1] : Math.min(line[2 * s + 1], (row + 1) * span);
      const bar = {x: left + (start - row * span) * scale, width: Math.max((end - start) * scale, 0.4)};
      svg.append(mark(
          'line', step.kernel, draw('rect', {
            class: 'bar',
            ...bar,
            y: row * pitch,
            height: tall,
            rx: bar.width > 6 ? 2 : 0,
            'stroke-width': bar.width > 4 ? 1 : 0,
            fill: kernel_colour(step.kernel)
          }),
          step_tip(step, s)));
      if (bar.width >= 6 + 8 * String(step.kernel + 1).length)
        svg.append(
            draw('text', {class: 'number', x: bar.x + bar.width / 2, y: row * pitch + tall / 2 + 4}, step.kernel + 1));
      start = end;
    }
  });
  return svg;
}

// ---- memory map
let zoom = 1;
function memory_map(box) {
  const left = 62, height = 320, top = 6, bottom = 24, arena = profile.arena_bytes;
  const visible = box.clientWidth - left, width = Math.round(visible * zoom);
  const y = bytes => height - bottom - (height - top - bottom) * bytes / arena,
        x = step => width * step / steps.length;
  const change = Array(steps.length + 1).fill(0);
  for (const tensor of tensors) {
    change[tensor.written_by] += tensor.bytes;
    change[tensor.last_read_by + 1] -= tensor.bytes;
  }
  let live = 0, most_live = 0;
  for (const bytes of change) most_live = Math.max(most_live, live += bytes);
  by_id('map-note').textContent =
      `The arena of ${
          size(arena)}: which bytes each tensor holds from the step that writes it to the last one that reads ` +
      `it. The most that lives at one time is ${
          size(most_live)}; no plan can do with less. Colours are those of the kernels that write.`;
  const axis = picture(left, height, 'Offsets'), svg = picture(width, height, 'Memory map: offsets over steps');
  const unit = 10 ** Math.floor(Math.log10(arena / 2)),
        pace = arena / unit > 10 ? 5 * unit :
      arena / unit > 4           ? 2 * unit :
                                   unit;
  for (let tick = 0; tick <= arena; tick += pace) {
    axis.append(draw(
        'text', {x: left - 8, y: Math.max(y(tick) + 4, 11), 'text-anchor': 'end'}, tick === 0 ? '0' : size(tick)));
    svg.append(draw('line', {class: 'grid', x1: 0, x2: width, y1: y(tick), y2: y(tick)}));
  }
  const paces = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
  const every = paces.find(count => x(count) >= 44) ?? 10000;
  for (let s = 0; s < steps.length; s += every)
    svg.append(draw(
        'text',
        {x: x(s),
         y: height - 7,
         'text-anchor': s === 0 ? 'start' :
             x(s) > width - 16  ? 'end' :
                                  'middle'},
        s));
  tensors.forEach(tensor => {
    const writer = steps[tensor.written_by];
    const block = {
      x: x(tensor.written_by),
      y: y(tensor.offset + tensor.bytes),
      width: x(tensor.last_read_by + 1) - x(tensor.written_by),
      height: Math.max(1, y(tensor.offset) - y(tensor.offset + tensor.bytes))
    };
    const rows = [
      ['holds', `${tensor.height} × ${tensor.width} × ${tensor.channels}, ${size(tensor.bytes)}`],
      ['offset', size(tensor.offset)], ['steps', `${tensor.written_by} to ${tensor.last_read_by}`]
    ];
    svg.append(mark(
        'map', writer.kernel, draw('rect', {
          class: 'block',
          ...block,
          rx: block.width > 8 ? 2 : 0,
          'stroke-width': block.width > 5 ? 1 :
              block.width > 2             ? 0.5 :
                                            0.2,
          fill: kernel_colour(writer.kernel)
        }),
        () => [writer.name, `written by kernel ${writer.kernel + 1}`, rows]));
    if (block.width >= 18 && block.height >= 16)
      svg.append(draw(
          'text', {class: 'number', x: block.x + block.width / 2, y: block.y + block.height / 2 + 4},
          writer.kernel + 1));
  });
  const most = Math.ceil(steps.length * 14 / visible);
  by_id('zoom').hidden = most < 2;
  by_id('zoom-input').max = most;
  return [axis, make('div', {class: 'scroller'}, svg)];
}

// ---- all together
const charts = {
  roofline,
  line: time_line,
  map: memory_map
};
function draw_chart(name) {
  clear_marks(name);
  const box = by_id(name);
  box.replaceChildren(...[charts[name](box)].flat());
}
head();
show_table();
let drawn_width = 0;
function draw_all() {
  if (by_id('roofline').clientWidth === drawn_width) return;
  drawn_width = by_id('roofline').clientWidth;
  light(null);
  Object.keys(charts).forEach(draw_chart);
}
draw_all();
addEventListener('resize', draw_all);
by_id('zoom-input').addEventListener('input', event => {
  const scroller = document.querySelector('#map .scroller');
  const middle = (scroller.scrollLeft + scroller.clientWidth / 2) / scroller.scrollWidth;
  zoom = Number(event.target.value);
  draw_chart('map');
  const next = document.querySelector('#map .scroller');
  next.scrollLeft = middle * next.scrollWidth - next.clientWidth / 2;
});
)js";

}  // namespace resnetc::program
