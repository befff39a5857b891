#include "profile_page.h"
#include "profile_report.h"

namespace resnetc::program {

std::string html_escape(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string script_escape(std::string_view json) {
  std::string result;
  for (const char c : json) {
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += c;
    }
  }
  return result;
}

std::string profile_html(const Profile& profile) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
         html_escape(profile.net->name) + ": profile</title>\n<style>\n" + profile_page_style +
         "</style>\n</head>\n<body>\n" + profile_page_body + "<script type=\"application/json\" id=\"profile\">" +
         script_escape(profile_json(profile)) + "</script>\n<script>\n" + profile_page_script + profile_page_charts +
         "</script>\n</body>\n</html>\n";
}

}  // namespace resnetc::program
