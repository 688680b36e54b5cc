//! The explanation for people.

use std::fmt;

use super::model::{Amount, Explanation, PodExplanation, SidecarImage};
use super::words::some;

/// Shows an explanation: what the set asks for, what stands in the way, and a line for each pod. Text in columns, no
/// colours.
#[derive(Clone, Copy, Debug)]
pub struct Table<'e> {
    explanation: &'e Explanation,
    wide: bool,
}

impl Explanation {
    /// The explanation as text; `wide` adds nodes, images, and why each pod stands at its place.
    pub fn table(&self, wide: bool) -> Table<'_> {
        Table {
            explanation: self,
            wide,
        }
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.explanation;
        writeln!(f, "SidecarSet {}: {}", of.set, of.summary)?;
        let strategy = &of.strategy;
        let mut how = strategy.type_.clone();
        if strategy.paused {
            how.push_str(", paused");
        }
        if let Some(selector) = &strategy.selector {
            how.push_str(&format!(", only pods with {selector}"));
        }
        writeln!(f, "  strategy:     {how}")?;
        if strategy.partition.means != Some(0) {
            writeln!(
                f,
                "  partition:    {} stay as they are",
                amount(&strategy.partition)
            )?;
        }
        let down: Vec<String> = of
            .unavailable
            .iter()
            .map(|one| format!("{} ({})", one.pod, one.reason))
            .collect();
        write!(
            f,
            "  budget:       maxUnavailable {}",
            amount(&strategy.max_unavailable)
        )?;
        match down.is_empty() {
            true => writeln!(f, ", none is unavailable")?,
            false => writeln!(f, ", {} unavailable: {}", down.len(), some(&down))?,
        }
        for (number, line) in strategy.priority.iter().enumerate() {
            let head = if number == 0 { "priority:" } else { "" };
            writeln!(f, "  {head:13} {line}")?;
        }
        if !strategy.scatter.is_empty() {
            writeln!(f, "  scatter:      {}", strategy.scatter.join(", "))?;
        }
        for problem in &of.problems {
            writeln!(
                f,
                "  {:13} {}",
                format!("{:?}:", problem.severity).to_lowercase(),
                problem.text
            )?;
        }
        if of.other_pods > 0 {
            writeln!(f, "  other pods:   {} that it does not select", of.other_pods)?;
        }
        if of.pods.is_empty() {
            return writeln!(f, "\nNo pods.");
        }
        writeln!(f)?;
        self.rows(f)
    }
}

impl Table<'_> {
    fn rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![self.row(
            ["#", "NAMESPACE", "POD"],
            "VERDICT",
            ["NODE", "IMAGES", "WHY HERE"],
            "WHY",
        )];
        rows.extend(self.explanation.pods.iter().map(|pod| self.pod(pod)));
        let mut widths: Vec<usize> = Vec::new();
        for row in &rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}   ", width = *width));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn pod(&self, pod: &PodExplanation) -> Vec<String> {
        let place = pod
            .place
            .map_or_else(|| "-".to_owned(), |place| place.to_string());
        let images: Vec<String> = pod.sidecars.iter().map(image).collect();
        let images = match images.is_empty() {
            true => "-".to_owned(),
            false => images.join(","),
        };
        let node = pod.node.as_deref().unwrap_or("-");
        let here = pod.why_here.as_deref().unwrap_or("-");
        self.row(
            [&place, &pod.namespace, &pod.name],
            &pod.verdict.to_string(),
            [node, &images, here],
            &pod.reason,
        )
    }

    fn row(&self, head: [&str; 3], verdict: &str, more: [&str; 3], reason: &str) -> Vec<String> {
        let more: &[&str] = if self.wide { &more } else { &[] };
        let cells = head.iter().chain([&verdict]).chain(more).chain([&reason]);
        cells.map(|cell| (*cell).to_owned()).collect()
    }
}

fn amount(amount: &Amount) -> String {
    match amount.means {
        None => format!("{} (not valid)", amount.value),
        Some(means) if means.to_string() == amount.value => amount.value.clone(),
        Some(means) => format!("{} of {} = {means}", amount.value, amount.of),
    }
}

fn image(sidecar: &SidecarImage) -> String {
    match &sidecar.wanted {
        None => format!("{}={}", sidecar.container, sidecar.image),
        Some(wanted) => format!("{}={}->{wanted}", sidecar.container, sidecar.image),
    }
}
