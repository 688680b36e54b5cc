//! A chart of runs, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 250.0;
const TOP: f64 = 50.0;

/// Draws the points of each series (node count, value) over a common x axis, from zero; next to the last point of a
/// series stands its name.
pub fn chart(title: &str, unit: &str, series: &[(&str, Vec<(f64, f64)>)]) -> String {
    let points = || series.iter().flat_map(|(_, points)| points);
    let right = round_up(points().map(|point| point.0).fold(1.0, f64::max));
    let top = round_up(points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max));
    let x = |value: f64| LEFT + value / right * (WIDTH - LEFT - 170.0);
    let y = |value: f64| BOTTOM - value / top * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{title}</text>\n\
         <text x=\"{LEFT}\" y=\"{}\" fill=\"#555\">{unit}</text>\n",
        TOP - 8.0
    );
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = svg.write_fmt(text);
        svg.push('\n');
    };
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (at_y, at_x) = (y(top * share), x(right * share));
        let end = x(right);
        line(format_args!(
            "<path d=\"M{LEFT} {at_y:.1}H{end:.1}\" stroke=\"#ddd\"/>"
        ));
        line(format_args!(
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at_y + 4.0,
            top * share
        ));
        line(format_args!(
            "<text x=\"{at_x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 18.0,
            right * share
        ));
    }
    line(format_args!(
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">nodes</text>",
        x(right / 2.0),
        BOTTOM + 38.0
    ));
    let colours = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];
    for ((name, points), colour) in series.iter().zip(colours.iter().cycle()) {
        let path: Vec<String> = points
            .iter()
            .map(|(px, py)| format!("{:.1} {:.1}", x(*px), y(*py)))
            .collect();
        line(format_args!(
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join("L")
        ));
        for (px, py) in points {
            line(format_args!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                x(*px),
                y(*py)
            ));
        }
        if let Some((px, py)) = points.last() {
            line(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
                x(*px) + 10.0,
                y(*py) + 4.0
            ));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The next number of 1, 2, 2.5, 4, 5 or 8 times a power of ten: its quarters are short to write.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let choices = [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0].map(|factor| factor * power);
    choices
        .into_iter()
        .find(|choice| *choice >= value)
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.7, 1.0, 230.0, 989.0].map(round_up), [0.8, 1.0, 250.0, 1000.0]);
    }

    #[test]
    fn every_point_is_drawn() {
        let svg = chart(
            "CPU",
            "seconds",
            &[("a", vec![(1.0, 2.0), (2.0, 3.0)]), ("b", vec![(2.0, 1.0)])],
        );
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.ends_with("</svg>\n"));
    }
}
