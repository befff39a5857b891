// The parts of --html's page that are the same for every net. The script reads the JSON of profile_json from the
// element "profile" and draws into the elements of the body.
#ifndef RESNETC_RUNTIME_PROGRAM_PROFILE_PAGE_H
#define RESNETC_RUNTIME_PROGRAM_PROFILE_PAGE_H

namespace resnetc::program {

extern const char* const profile_page_style;
extern const char* const profile_page_body;
extern const char* const profile_page_script;
extern const char* const profile_page_charts;  // follows the script

}  // namespace resnetc::program

#endif
