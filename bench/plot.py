"""Line plots as SVG: plot(path, title, x label, y label, {name: [(x, y)]}); axes from 0, ticks at round numbers."""
import html
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 340, 70, 16, 40, 52
COLOURS = ["#0b5fa5", "#c2410c", "#3f7d20", "#7a3e9d", "#555555"]


def ticks(largest):
    step = 10 ** math.floor(math.log10(largest / 4))
    step *= next(m for m in (1, 2, 5, 10) if largest / (step * m) <= 6)
    return [k * step for k in range(int(largest / step) + 1)]


def label(x):
    return f"{x:,.0f}" if x >= 10 or x == int(x) else f"{x:g}"


def plot(path, title, x_label, y_label, series):
    points = [point for line in series.values() for point in line]
    top_x, top_y = max(x for x, _ in points) * 1.02, max(y for _, y in points) * 1.06

    def at(x, y):
        return LEFT + x / top_x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top_y * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{html.escape(title)}</text>']
    for tick in ticks(top_y):
        _, y = at(0, tick)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label(tick)}</text>')
    for tick in ticks(top_x):
        x, y = at(tick, 0)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{y + 4:.1f}" stroke="#888"/>'
                   f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{label(tick)}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{html.escape(x_label)}</text>'
               f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{html.escape(y_label)}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        place = [at(x, y) for x, y in sorted(line)]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="'
                   + " ".join(f"{x:.1f},{y:.1f}" for x, y in place) + '"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in place]
        out.append(f'<text x="{LEFT + 8}" y="{TOP + 10 + 16 * number}" fill="{colour}">{html.escape(name)}</text>')
    with open(path, "w", encoding="utf8") as file:
        file.write("\n".join(out) + "\n</svg>\n")
