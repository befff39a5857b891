#include "profile.h"

#include <memory>

#include "commands.h"
#include "output_file.h"
#include "print.h"
#include "profile_report.h"

namespace resnetc::program {

void profile(const rn_description& net, const Options& options) {
  // Before all else, so that a name which cannot be written to is known at once.
  std::unique_ptr<OutputFile> page;
  if (!options.html.empty()) page = std::make_unique<OutputFile>(options.html);

  Model model(net, options.threads, options.batch, options.device, options.fallback);
  const Profile result = model.on_device() ? profile_device(net, model, options) : profile_cpu(net, model, options);
  print(options.json ? profile_json(result) : profile_text(result));
  if (page != nullptr) {
    const std::string text = profile_html(result);
    page->write(text.data(), text.size());
    page->finish();
  }
}

}  // namespace resnetc::program
