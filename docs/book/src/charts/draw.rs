//! Bars and lines as SVG. A panel has one unit.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 590.0;
const HEAD: f64 = 48.0;
const BAR: f64 = 26.0;
/// Where the labels of bars end and the bars begin.
const LABELS: f64 = 250.0;
const LINES: f64 = 190.0;
const COLOURS: [&str; 4] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];

/// A bar: its label, what it stands for by colour, and how long it is.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What was measured.
    pub label: String,
    /// Bars of one kind have one colour.
    pub kind: usize,
    /// The number.
    pub value: f64,
}

/// A line through points.
#[derive(Clone, Debug)]
pub struct Line {
    /// What stands at its end.
    pub name: String,
    /// Pairs of x and y, in order of x.
    pub points: Vec<(f64, f64)>,
}

/// A part of a chart with a scale of its own.
#[derive(Clone, Debug)]
pub enum Panel {
    /// Bars from zero, one below the other.
    Bars {
        /// What is compared.
        title: String,
        /// Unit of all values.
        unit: String,
        /// The bars.
        bars: Vec<Bar>,
    },
    /// Lines over one x axis.
    Lines {
        /// What is compared.
        title: String,
        /// Unit of the y axis.
        unit: String,
        /// What the x axis counts.
        x: String,
        /// Whether both axes go by powers of ten; else they begin at zero.
        log: bool,
        /// The lines.
        lines: Vec<Line>,
    },
}

/// Draws panels one below the other, on a white ground of their own.
pub fn svg(panels: &[Panel]) -> String {
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut out = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"#fff\"/>\n"
    ));
    let mut top = 0.0;
    for panel in panels {
        panel.draw(&mut out, top);
        top += panel.height();
    }
    out.0.push_str("</svg>\n");
    out.0
}

struct Svg(String);

impl Svg {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        _ = self.0.write_fmt(text);
        self.0.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, colour: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.line(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        ));
    }
}

impl Panel {
    fn height(&self) -> f64 {
        match self {
            Self::Bars { bars, .. } => HEAD + BAR * bars.len() as f64 + 14.0,
            Self::Lines { .. } => HEAD + LINES + 56.0,
        }
    }

    fn draw(&self, out: &mut Svg, top: f64) {
        let (Self::Bars { title, unit, .. } | Self::Lines { title, unit, .. }) = self;
        out.line(format_args!(
            "<text x=\"20\" y=\"{:.1}\" font-size=\"15\" font-weight=\"bold\" fill=\"#222\">{title}</text>",
            top + 28.0
        ));
        out.text(WIDTH - 20.0, top + 28.0, "end", "#555", unit);
        match self {
            Self::Bars { bars, .. } => draw_bars(out, top + HEAD, bars),
            Self::Lines { x, log, lines, .. } => draw_lines(out, top + HEAD, x, *log, lines),
        }
    }
}

fn draw_bars(out: &mut Svg, top: f64, bars: &[Bar]) {
    let longest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    for (at, bar) in bars.iter().enumerate() {
        let y = top + BAR * at as f64;
        let width = (bar.value / longest * (WIDTH - LABELS - 100.0)).max(1.0);
        let colour = colour(bar.kind);
        out.text(LABELS - 10.0, y + 16.0, "end", "#222", &bar.label);
        out.line(format_args!(
            "<rect x=\"{LABELS}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            y + 3.0,
            BAR - 8.0
        ));
        out.text(
            LABELS + width + 8.0,
            y + 16.0,
            "start",
            "#222",
            &short(bar.value, 3),
        );
    }
}

fn draw_lines(out: &mut Svg, top: f64, x_name: &str, log: bool, lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (xs, ys) = (
        Axis::over(points().map(|point| point.0), log),
        Axis::over(points().map(|point| point.1), log),
    );
    let bottom = top + LINES;
    let x = |value: f64| LEFT + xs.share(value) * (RIGHT - LEFT);
    let y = |value: f64| bottom - ys.share(value) * LINES;
    for tick in ys.ticks() {
        out.line(format_args!(
            "<path d=\"M{LEFT} {:.1}H{RIGHT}\" stroke=\"#ddd\"/>",
            y(tick)
        ));
        out.text(LEFT - 8.0, y(tick) + 4.0, "end", "#555", &short(tick, 4));
    }
    for tick in xs.ticks() {
        out.text(x(tick), bottom + 20.0, "middle", "#555", &short(tick, 4));
    }
    out.text((LEFT + RIGHT) / 2.0, bottom + 40.0, "middle", "#555", x_name);
    for (at, line) in lines.iter().enumerate() {
        let colour = colour(at);
        let path: Vec<_> = (line.points.iter())
            .map(|point| format!("{:.1} {:.1}", x(point.0), y(point.1)))
            .collect();
        out.line(format_args!(
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join("L")
        ));
        for point in &line.points {
            out.line(format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                x(point.0),
                y(point.1)
            ));
        }
        if let Some(last) = line.points.last() {
            out.text(x(last.0) + 12.0, y(last.1) + 4.0, "start", colour, &line.name);
        }
    }
}

fn colour(kind: usize) -> &'static str {
    COLOURS.get(kind % COLOURS.len()).copied().unwrap_or("#000")
}

/// Which numbers a side of a panel shows.
struct Axis {
    from: f64,
    to: f64,
    log: bool,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, log: bool) -> Self {
        let most = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        if log {
            let least = values.fold(most, f64::min).max(f64::MIN_POSITIVE);
            let (from, to) = (least.log10().floor(), most.log10().ceil());
            return Self {
                from,
                to: to.max(from + 1.0),
                log,
            };
        }
        Self {
            from: 0.0,
            to: round_up(most),
            log,
        }
    }

    fn share(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.from) / (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let powers = (self.to - self.from) as i32;
            return (0..=powers)
                .map(|power| 10_f64.powf(self.from + f64::from(power)))
                .collect();
        }
        (0..=4).map(|step| self.to * f64::from(step) / 4.0).collect()
    }
}

/// The next number of 1, 2, 2.5, 4, 5 or 8 times a power of ten: its quarters are short to write.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let choices = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0].map(|factor| factor * power);
    let above = choices.into_iter().find(|choice| *choice >= value);
    above.unwrap_or(value)
}

/// So many digits, and commas between thousands.
fn short(value: f64, digits: u8) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = (f64::from(digits) - 1.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let length = text.len();
    let mut out = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (length - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.7, 1.0, 230.0, 989.0].map(round_up), [0.8, 1.0, 250.0, 1000.0]);
        let powers = Axis::over([3.0, 1_200.0].into_iter(), true);
        assert_eq!(powers.ticks(), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((powers.share(100.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_cut_to_so_many_digits() {
        assert_eq!(short(18.75, 4), "18.75");
        assert_eq!(
            [0.0, 0.047, 8.4, 46.0, 1_234.0, 1_000_000.0].map(|value| short(value, 3)),
            ["0", "0.047", "8.4", "46", "1,234", "1,000,000"]
        );
    }

    #[test]
    fn every_point_and_every_bar_is_drawn() {
        let lines = ["a", "b"].map(|name| Line {
            name: name.to_owned(),
            points: vec![(1.0, 2.0), (2.0, 3.0)],
        });
        let bar = Bar {
            label: "x < y".to_owned(),
            kind: 9,
            value: 1.0,
        };
        let drawn = svg(&[
            Panel::Lines {
                title: "A".into(),
                unit: "s".into(),
                x: "nodes".into(),
                log: true,
                lines: lines.into(),
            },
            Panel::Bars {
                title: "B".into(),
                unit: "ms".into(),
                bars: vec![bar],
            },
        ]);
        assert_eq!(
            (drawn.matches("<circle").count(), drawn.matches("<rect").count()),
            (4, 2)
        );
        assert!(drawn.contains("x &lt; y") && drawn.ends_with("</svg>\n"));
    }
}
