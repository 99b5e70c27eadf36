/* Text escaped for the formats we write, appended to a growing string. Numbers never depend on the locale. */
#ifndef SN_BASE_WRITE_H
#define SN_BASE_WRITE_H

#include "base/base.h"

/* Appends a JSON string with its quotes; NULL becomes null. Control characters become \u00XX; invalid UTF-8 bytes
 * U+FFFD. */
void sn_write_json(sn_buf *buf, const char *text);
/* Appends the shortest text that reads back as the same double; "null" if x is not finite. */
void sn_write_number(sn_buf *buf, double x);
/* Appends a CSV field (RFC 4180), quoted only where it must be. */
void sn_write_csv(sn_buf *buf, const char *text);
/* Appends a field of a table separated by tabs, which has no quoting: tabs and line ends in it become spaces. */
void sn_write_tsv(sn_buf *buf, const char *text);
/* Appends text for XML or HTML, in content or in a quoted attribute; characters XML forbids become U+FFFD. */
void sn_write_xml(sn_buf *buf, const char *text);
/* Appends a number for people: `digits` decimals, or 3 significant digits when digits < 0 or it is huge; large integers
 * whole; "–" if it is not finite; a true minus sign. */
void sn_write_readable(sn_buf *buf, double x, int digits);

#endif
