/* The style sheet of the page. */
#ifndef SN_REPORT_STYLE_H
#define SN_REPORT_STYLE_H

extern const char sn_page_style[];

#endif
