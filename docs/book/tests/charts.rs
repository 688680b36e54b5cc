//! The charts show the data beside them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use kruise_docs::{charts::charts, repository};

#[test]
fn the_charts_are_those_of_the_data() {
    let folder = repository().join("docs/charts");
    let drawn = charts(&folder).unwrap();
    for chart in &drawn {
        let checked_in = std::fs::read_to_string(folder.join(chart.file)).unwrap_or_default();
        assert!(
            checked_in == chart.text,
            "docs/charts/{}: run `make charts`",
            chart.file
        );
    }
    let page = std::fs::read_to_string(repository().join("docs/performance.md")).unwrap();
    for chart in &drawn {
        assert!(
            page.contains(&format!("(charts/{})", chart.file)),
            "{} is on no page",
            chart.file
        );
    }
}
