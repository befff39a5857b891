#include "profile_page.h"

namespace resnetc::program {

const char* const profile_page_script = R"js('use strict';
const profile = JSON.parse(document.getElementById('profile').textContent);
const {kernels, steps, tensors, machine} = profile;
const by_id = id => document.getElementById(id);
const on_device = machine.device !== undefined, hardware = machine.device ?? machine.cpu;

// ---- numbers as text
const round = value => value >= 999.5 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
const digits = value => value >= 99.95 || value === 0 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
const percent = part => part > 0 && part < 0.0005 ? '< 0.1 %' :
    part * 100 >= 99.95                           ? Math.round(part * 100) + ' %' :
                                                    (part * 100).toFixed(1) + ' %';
const duration = ms => ms >= 999.5 ? digits(ms / 1e3) + ' s' :
    ms >= 0.9995                   ? digits(ms) + ' ms' :
                                     digits(ms * 1e3) + ' µs';
const size = bytes => bytes >= 1e9 ? round(bytes / 1e9) + ' GB' :
    bytes >= 1e6                   ? round(bytes / 1e6) + ' MB' :
                                     round(bytes / 1e3) + ' kB';
const times = text => text.replace(/(\d)x(?=\d)/g, '$1×').replace(/(\d)-(\d)/, '$1→$2');

// ---- elements
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const draw = (name, attributes = {}, ...children) =>
    fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
const picture = (width, height, label) =>
    draw('svg', {width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label});

function colour(kind) {
  const name = kind.includes('grouped') ? 'grouped' :
      kind === 'conv 3x3'               ? 'conv3' :
      kind === 'conv 1x1'               ? 'conv1' :
      kind.startsWith('conv')           ? 'conv' :
      kind.includes('pool')             ? 'pool' :
      kind.startsWith('dense')          ? 'dense' :
                                          'other';
  return `var(--${name})`;
}
// Kernels of one kind differ in tint, in the order in which the net first uses them.
const kernel_colours = [];
const seen = new Map();
for (const k of new Set(steps.map(step => step.kernel))) {
  const plain = colour(kernels[k].kind), count = seen.get(plain) ?? 0, tint = count % 4;
  seen.set(plain, count + 1);
  kernel_colours[k] = tint ? `color-mix(in oklab, ${plain}, var(--tint${tint}))` : plain;
}
const kernel_colour = kernel => kernel_colours[kernel];

// ---- marks: what shows a kernel, in whatever chart, is lit up together
const marks = new Map();  // chart -> its marks, a list for each kernel
function mark(chart, kernel, element, tip) {
  element.classList.add('mark');
  element.tip = tip;
  element.kernel = kernel;
  marks.get(chart)[kernel].push(element);
  return element;
}
const clear_marks = chart => marks.set(chart, kernels.map(() => []));
let lit = null;
function light(kernel) {
  if (kernel === lit) return;
  const each = (k, action) => {
    for (const lists of marks.values()) lists[k].forEach(action);
  };
  if (lit !== null) each(lit, element => element.classList.remove('on'));
  if (kernel !== null) each(kernel, element => element.classList.add('on'));
  document.body.classList.toggle('linked', kernel !== null);
  lit = kernel;
}
const tip = by_id('tip');
function show_tip(event, [title, subtitle, rows]) {
  tip.replaceChildren(
      make('b', {}, title), make('span', {class: 'muted'}, subtitle),
      make('div', {class: 'rows'}, ...rows.flat().map(text => make('span', {}, text))));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = event.clientX + 16 + box.width > innerWidth ? event.clientX - 16 - box.width : event.clientX + 16;
  const y = event.clientY + 16 + box.height > innerHeight ? event.clientY - 12 - box.height : event.clientY + 16;
  tip.style.left = Math.max(4, x) + 'px';
  tip.style.top = Math.max(4, y) + 'px';
}
document.addEventListener('pointermove', event => {
  const element = event.target.closest?.('.mark');
  light(element ? element.kernel : null);
  if (element?.tip)
    show_tip(event, element.tip());
  else
    tip.hidden = true;
});
document.addEventListener('pointerleave', () => {
  light(null);
  tip.hidden = true;
});

const figure_rows = f => [
    ['share', percent(f.share)], ['speed', round(f.gflops) + ' GFLOP/s, ' + percent(f.of_peak) + ' of the peak'],
    ...(f.executed_flop === f.flop ? [] : [['effective', round(f.effective_gflops) + ' GFLOP/s']]),
    ['moves', `${size(f.bytes)}, ${percent(f.of_bandwidth)} of the memory's rate`],
    ['intensity', round(f.flop_per_byte) + ' FLOP/byte'], ['bound by', f.bound_by]];
const kernel_tip = (kernel, k) => () => [`${k + 1}  ${times(kernel.label)}`, kernel.strategy, [
  ['time', `${duration(kernel.ms)} in ${kernel.calls} ${kernel.calls === 1 ? 'call' : 'calls'}`],
  ...figure_rows(kernel)
]];
const step_tip = (step, s) =>
    () => [step.name, `step ${s}, kernel ${step.kernel + 1}: ${times(kernels[step.kernel].label)}`, [
      ['time', duration(step.ms)], ['border', step.border_us > 0 ? duration(step.border_us / 1e3) : 'none zeroed'],
      ...figure_rows(step)
    ]];

// ---- head
const times_on_device = () => `Kernels ${duration(profile.kernels_ms)}, the sum of the medians of each step, launched ` +
    `over and over by itself: what it reads stays in the cache where it fits. All kernels in turn take ` +
    `${duration(profile.together_ms)}, an inference with its input and output ${duration(profile.inference_ms)}. `;
const times_on_cpu = () =>
    `Kernels ${duration(profile.kernels_ms)}, zeroing borders ${duration(profile.borders_ms)}: together ` +
    `${duration(profile.sum_ms)}, summed from the medians of each over ${
        round(profile.runs)} runs. A whole inference takes ` +
    `${duration(profile.inference_ms)}, ${duration(profile.clocked_ms)} with clocks between the steps. ` +
    (profile.threads > 1 ? `Handing work to threads takes ${duration(machine.hand_over_us / 1e3)} ` +
             `a parallel loop, some ${duration(profile.hand_over_ms)} for the ${
                               profile.parallel_loops} of an inference (${
                               percent(profile.hand_over_ms / profile.sum_ms)}). ` :
                           '');
function head() {
  by_id('model').textContent = profile.model;
  by_id('about').textContent = [hardware, profile.target, profile.version].filter(text => text).join(' · ');
  const tile = (what, value, unit, more) => make(
      'div', {class: 'tile'}, make('div', {class: 'what'}, what),
      make('div', {class: 'value'}, value, ' ', make('small', {}, unit)), make('div', {class: 'more'}, more));
  const split = text => text.split(' ');
  const images = profile.batch === 1 ? 'one image' : `a batch of ${profile.batch}`;
  const threads = on_device ? 'the device' : profile.threads === 1 ? '1 thread' : `${profile.threads} threads`;
  by_id('tiles').append(
      tile(
          `Inference of ${images}`, ...split(duration(profile.inference_ms)),
          `${threads}, ${round(profile.batch / profile.inference_ms * 1e3)} images/s`),
      tile('Speed', round(profile.gflops), 'GFLOP/s', `${percent(profile.of_peak)} of the peak; effective ${round(profile.effective_gflops)}`),
      tile('Peak, measured here', round(machine.peak_gflops), 'GFLOP/s', machine.vectors + ', ' + threads),
      tile(
          'Memory, measured here', round(machine.memory_gbytes_per_second), 'GB/s',
          (on_device ? 'read and written' : 'reads') + ' beyond the caches'),
      tile('Weights', ...split(size(profile.weight_bytes)), on_device ? 'in its memory' : 'read in place'),
      tile('Activations', ...split(size(profile.arena_bytes)), 'of ' + images + ', borders included'));
  const note = machine.note ? `Mind that ${machine.note}.` : '';
  by_id('sum').textContent = (on_device ? times_on_device() : times_on_cpu()) + note;
  const kinds = new Map();
  for (const kernel of kernels) kinds.set(kernel.kind, (kinds.get(kernel.kind) ?? 0) + kernel.share);
  const parts = [...kinds].sort((a, b) => b[1] - a[1]);
  const borders = profile.borders_ms / profile.sum_ms;
  if (borders > 0) parts.push(['borders', borders]);
  for (const [kind, share] of parts) {
    const fill = kind === 'borders' ? 'var(--muted)' : colour(kind);
    by_id('kinds').append(make('span', {style: `flex: ${share} 0 0; background: ${fill}`}));
    by_id('legend').append(make(
        'span', {}, make('span', {class: 'chip', style: `background: ${fill}`}), times(kind.replace('_', ' ')), ' ',
        make('b', {}, percent(share))));
  }
}

// ---- tables
const gauge = (text, part, fill) =>
    make('span', {}, text, make('span', {class: 'gauge'}, make('i', {
                                  style: `width: ${Math.min(100, part * 100)}%` + (fill ? `; background: ${fill}` : '')
                                })));
const named = (fill, name, key) => make(
    'div', {class: 'long'},
    make('span', {class: 'name'}, make('span', {class: 'chip', style: `background: ${fill}`}), name),
    ...(key ? [make('span', {class: 'key'}, key)] : []));
// A column: heading, what it is sorted by, what it shows (that, if left out), whether it is text.
const common = [
  ['share', f => f.share, f => gauge(percent(f.share), f.share / f.most, kernel_colour(kernel_of(f)))],
  ['GFLOP/s', f => f.gflops, f => f.flop > 0 ? digits(f.gflops) : '–'],
  ['peak', f => f.of_peak, f => f.flop > 0 ? gauge(percent(f.of_peak), f.of_peak) : '–'],
  ['effective', f => f.effective_gflops, f => f.flop > 0 ? digits(f.effective_gflops) : '–'],
  ['MB', f => f.bytes, f => digits(f.bytes / 1e6)],
  ['FLOP/byte', f => f.flop_per_byte, f => f.flop > 0 ? digits(f.flop_per_byte) : '–'],
  ['memory', f => f.of_bandwidth, f => gauge(percent(f.of_bandwidth), f.of_bandwidth)],
  ['bound by', f => f.bound_by, null, 'text']
];
// number: its place in the list; most: the largest share of all.
const numbered = list => {
  const most = Math.max(...list.map(each => each.share));
  return list.map((each, number) => ({...each, number, most}));
};
const kernel_of = row => row.kernel ?? row.number;
const tables = {
  kernels: {
    rows: numbered(kernels),
    sorted: ['ms', -1],
    columns: [
      ['#', f => f.number + 1],
      ['kernel', f => f.label, f => named(kernel_colour(f.number), times(f.label), f.key), 'text'],
      ['calls', f => f.calls], ['µs a call', f => f.median_us, f => digits(f.median_us)],
      ['ms', f => f.ms, f => digits(f.ms)], ...common
    ]
  },
  steps: {
    rows: numbered(steps),
    sorted: ['step', 1],
    columns: [
      ['step', f => f.number], ['name', f => f.name, f => named(kernel_colour(f.kernel), f.name), 'text'],
      ['kernel', f => f.kernel + 1], ['µs', f => f.ms, f => digits(f.ms * 1e3)],
      ['border µs', f => f.border_us, f => f.border_us > 0 ? digits(f.border_us) : '–'], ...common
    ]
  }
};
let shown_table = 'kernels';
function show_table() {
  const {rows, sorted, columns} = tables[shown_table];
  const column = columns.find(([heading]) => heading === sorted[0]);
  const value = column[1], sign = sorted[1];
  const order = [...rows].sort(
      (a, b) => sign * (typeof value(a) === 'string' ? value(a).localeCompare(value(b)) : value(a) - value(b)));
  const headings = columns.map(([heading, , , text]) => {
    const button = make('button', {type: 'button'}, heading);
    button.addEventListener('click', () => {
      const first = text || heading === '#' || heading === 'step' || heading === 'kernel' ? 1 : -1;
      tables[shown_table].sorted = [heading, sorted[0] === heading ? -sign : first];
      show_table();
    });
    return make(
        'th', {
          class: text ?? '',
          scope: 'col',
          ...(sorted[0] === heading ? {'aria-sort': sign > 0 ? 'ascending' : 'descending'} : {})
        },
        button);
  });
  clear_marks('table');
  const body = order.map(
      row => mark(
          'table', kernel_of(row),
          make('tr', {}, ...columns.map(([, key, cell,
                                          text]) => make('td', {class: text ?? ''}, (cell ?? key)(row))))));
  by_id('table').replaceChildren(make('thead', {}, make('tr', {}, ...headings)), make('tbody', {}, ...body));
  by_id('tabs').replaceChildren(...Object.keys(tables).map(name => {
    const button =
        make('button', {type: 'button', 'aria-pressed': name === shown_table}, `${tables[name].rows.length} ${name}`);
    button.addEventListener('click', () => {
      shown_table = name;
      show_table();
    });
    return button;
  }));
}
)js";

}  // namespace resnetc::program
