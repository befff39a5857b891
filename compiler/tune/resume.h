// What earlier runs on the same file of records have left for the next one, and others that run now.
#pragma once

#include "compiler/tune/trials.h"
#include "compiler/tune/tuning.h"

namespace resnetc {

// Trials under the same conditions inform the model, and need no second try, but for one that was the fastest and has
// no record: versions that wrote it before its record may have been killed between the two. Of a kernel without any
// record none counts as tried: nothing else says what was best, as when the file of records was removed.
void resume(Tuning& t, const RecordFile& known, const std::vector<Trial>& trials);

// What other tuners have tried since on the same file: it informs the model, and this one does not try it too. Sets
// KeySearch::elsewhere.
void learn_from_others(Tuning& t);

}  // namespace resnetc
