/* Sections of the page that show one table. */
#ifndef SN_REPORT_PAGE_H
#define SN_REPORT_PAGE_H

#include "report/pick.h"

/* Appends a section: heading, caption, then as the view says: figure with its numbers folded away, table, or list of
 * examples. */
SN_CHECKED sn_status sn_page_table(sn_buf *buf, const sn_result *result, int table);

#endif
