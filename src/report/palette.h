/* Colours that colour-blind readers can tell apart, and text that is legible on each of them. */
#ifndef SN_REPORT_PALETTE_H
#define SN_REPORT_PALETTE_H

#include "base/base.h"

typedef struct sn_rgb {
	uint8_t r, g, b;
} sn_rgb;

/* Colour of series i (Okabe & Ito 2008, the yellow left out on white), repeating after seven. */
sn_rgb sn_color_series(int i);
/* Sequential, after cividis (Nunez et al. 2018), light for small: t from 0 to 1. */
sn_rgb sn_color_sequential(double t);
/* Diverging, blue below 0, white at 0, orange above: t from -1 to 1. */
sn_rgb sn_color_diverging(double t);
/* Colour of category i of a map: light enough for black marks; grey for i < 0, what is undetermined. */
sn_rgb sn_color_category(int i);
/* "#000000" or "#ffffff", whichever contrasts more (WCAG relative luminance). */
const char *sn_color_text(sn_rgb on);
/* Appends "#rrggbb". */
void sn_color_write(sn_buf *buf, sn_rgb c);
/* Dash pattern and marker that go with the colour of a series, so that it is told apart without colour. */
const char *sn_dash_series(int i);

#endif
