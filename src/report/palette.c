#include "report/palette.h"

#include <math.h>

sn_rgb sn_color_series(int i)
{
	static const sn_rgb okabe_ito[] = { { 0, 114, 178 }, { 213, 94, 0 },   { 0, 158, 115 }, { 204, 121, 167 },
										{ 230, 159, 0 }, { 86, 180, 233 }, { 0, 0, 0 } };
	return okabe_ito[i % SN_COUNT(okabe_ito)];
}

sn_rgb sn_color_category(int i)
{
	static const sn_rgb light[] = { { 86, 180, 233 },  { 230, 159, 0 },   { 120, 200, 170 }, { 240, 228, 66 },
									{ 222, 170, 200 }, { 190, 160, 120 }, { 250, 250, 250 } };
	return i < 0 ? (sn_rgb){ 218, 218, 218 } : light[i % SN_COUNT(light)];
}

const char *sn_dash_series(int i)
{
	static const char *const dash[] = { "none", "7 3", "2 2", "9 3 2 3", "5 2 1 2 1 2", "12 3", "1 3" };
	return dash[i % SN_COUNT(dash)];
}

static sn_rgb between(const sn_rgb *stop, int n, double t)
{
	double at = fmin(fmax(t, 0), 1) * (n - 1);
	int i = SN_MIN((int)at, n - 2);
	double f = at - i;
	const sn_rgb a = stop[i], b = stop[i + 1];
	return (sn_rgb){ (uint8_t)lround(a.r + f * (b.r - a.r)), (uint8_t)lround(a.g + f * (b.g - a.g)),
					 (uint8_t)lround(a.b + f * (b.b - a.b)) };
}

sn_rgb sn_color_sequential(double t)
{
	static const sn_rgb stop[] = { { 255, 252, 235 }, { 254, 232, 140 }, { 222, 201, 92 }, { 174, 163, 113 },
								   { 124, 123, 120 }, { 86, 92, 108 },   { 43, 68, 110 },  { 0, 34, 78 } };
	return between(stop, SN_COUNT(stop), t);
}

sn_rgb sn_color_diverging(double t)
{
	static const sn_rgb stop[] = { { 5, 48, 97 },     { 33, 102, 172 },  { 103, 169, 207 },
								   { 209, 229, 240 }, { 250, 250, 250 }, { 254, 224, 182 },
								   { 241, 163, 64 },  { 179, 88, 6 },    { 110, 50, 4 } };
	return between(stop, SN_COUNT(stop), (t + 1) / 2);
}

static double linear(uint8_t c)
{
	double x = c / 255.0;
	return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

const char *sn_color_text(sn_rgb c)
{
	double luminance = 0.2126 * linear(c.r) + 0.7152 * linear(c.g) + 0.0722 * linear(c.b);
	return luminance > 0.179 ? "#000000" : "#ffffff";
}

void sn_color_write(sn_buf *buf, sn_rgb c) { sn_buf_format(buf, "#%02x%02x%02x", c.r, c.g, c.b); }
