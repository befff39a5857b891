#include "profile_page.h"

namespace resnetc::program {

const char* const profile_page_body = R"html(<main>
<h1 id="model"></h1>
<p id="about" class="muted"></p>
<noscript><p>This page draws itself with a script; the numbers stand in it as JSON.</p></noscript>
<div id="tiles"></div>
<section>
<h2>Where the time goes</h2>
<p class="note" id="sum"></p>
<div id="kinds"></div>
<div id="legend" class="legend"></div>
</section>
<section>
<h2>Roofline</h2>
<p class="note">Each point is a kernel with the operations that it executes, its area the share of the time, its number the row in the table. The flat line
is what this machine computes at most, the slope what its memory delivers; both were measured here. Points above the slope
got their bytes from the caches.<span id="unplotted"></span></p>
<div id="roofline" class="plot"></div>
</section>
<section>
<h2>Time line</h2>
<p class="note" id="line-note"></p>
<div id="line" class="plot"></div>
</section>
<section>
<h2>Kernels and steps</h2>
<p class="note">GFLOP/s and peak: operations executed. Effective: GFLOP/s as if all were summed directly, which exceeds
them, and the peak, where Winograd saves multiplications. MB: weights and activations, each read or written once, borders left out. Peak and memory are parts of
what was measured here; memory beyond 100 % means caches. What bounds a step is the nearer roof, unless it is below
40&nbsp;% of both; the memory bounds no net that fits into the caches as a whole.</p>
<div class="tabs" id="tabs"></div>
<div class="scroll"><table id="table"></table></div>
</section>
<section>
<h2>Memory map</h2>
<p class="note" id="map-note"></p>
<div class="controls" id="zoom" hidden><label for="zoom-input">zoom</label><input id="zoom-input" type="range" min="1"
max="1" step="0.5" value="1"></div>
<div id="map" class="plot"></div>
</section>
</main>
<div id="tip" hidden></div>
)html";

}  // namespace resnetc::program
