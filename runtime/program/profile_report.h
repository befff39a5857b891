// A profile as text, as JSON and as a page.
#ifndef RESNETC_RUNTIME_PROGRAM_PROFILE_REPORT_H
#define RESNETC_RUNTIME_PROGRAM_PROFILE_REPORT_H

#include <string>
#include <string_view>

#include "profile_figures.h"

namespace resnetc::program {

// Tables of steps and kernels, then where the time goes.
std::string profile_text(const Profile& profile);

// One object on one line; times in milliseconds and microseconds for a batch, shares and parts from 0 to 1.
std::string profile_json(const Profile& profile);

// A self-contained page: a roofline plot, the time line, tables, the memory map. Nothing is loaded from elsewhere.
std::string profile_html(const Profile& profile);

// Text for the content or an attribute of an HTML element.
std::string html_escape(std::string_view text);

// JSON for the content of a <script> element, which ends at "</script" wherever that stands.
std::string script_escape(std::string_view json);

}  // namespace resnetc::program

#endif
