//! Reads the commands of a page and what they print, and compares it with what they print now.

use std::iter::Peekable;
use std::str::Lines;

/// A command of a `console` block, and what the page says that it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line of the page.
    pub line: usize,
    /// What a shell gets.
    pub command: String,
    /// The lines that follow it.
    pub output: Vec<String>,
}

/// Returns the steps of all `console` blocks of a page: `$ ` begins a command, `> ` goes on with it.
pub fn steps(page: &str) -> Vec<Step> {
    let mut out = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        if line != "```console" {
            continue;
        }
        for (at, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
            if let Some(command) = line.strip_prefix("$ ") {
                out.push(Step {
                    line: at + 1,
                    command: command.to_owned(),
                    output: Vec::new(),
                });
            } else if let Some(step) = out.last_mut() {
                match line.strip_prefix('>') {
                    Some(more) if step.output.is_empty() => {
                        step.command.push('\n');
                        step.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                    }
                    _ => step.output.push(line.to_owned()),
                }
            }
        }
    }
    out
}

/// Returns the texts of all blocks of a language, without the indentation of the list that they stand in.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let mut out = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if text != fence {
            continue;
        }
        let indent = line.len() - text.len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let inside: Vec<_> = inside
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        out.push(inside.join("\n"));
    }
    out
}

impl Step {
    /// Tells whether the command printed what the page says. Widths of columns do not count, nor do ages; `...` stands for
    /// anything: for any number of lines on a line of its own, else for a part of its line.
    pub fn matches(&self, printed: &str) -> bool {
        let expected: Vec<&str> = self.output.iter().map(String::as_str).collect();
        same(&expected, &mut printed.trim_end().lines().peekable())
    }
}

fn same(expected: &[&str], printed: &mut Peekable<Lines<'_>>) -> bool {
    match expected.split_first() {
        None => printed.peek().is_none(),
        Some((&"...", rest)) => loop {
            if same(rest, &mut printed.clone()) {
                return true;
            }
            if printed.next().is_none() {
                return false;
            }
        },
        Some((line, rest)) => {
            printed.next().is_some_and(|printed| same_line(line, printed)) && same(rest, printed)
        }
    }
}

fn same_line(expected: &str, printed: &str) -> bool {
    let printed = plain(printed);
    let expected = plain(expected);
    let parts: Vec<&str> = expected.split("...").map(str::trim).collect();
    let [first, .., last] = parts.as_slice() else {
        return expected == printed;
    };
    let mut rest = printed.as_str();
    for part in &parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    printed.starts_with(first) && printed.ends_with(last)
}

/// One blank between words, and every age the same.
fn plain(line: &str) -> String {
    let words = line
        .split_whitespace()
        .map(|word| if is_age(word) { "AGE" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn is_age(word: &str) -> bool {
    let units = |c: char| matches!(c, 's' | 'm' | 'h' | 'd');
    word.ends_with(units) && word.starts_with(|c: char| c.is_ascii_digit()) && {
        word.chars().all(|c| c.is_ascii_digit() || units(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_continuations_and_outputs() {
        let page = "text\n```sh\nmake demo\n```\n```console\n$ a <<EOF\n> b\n>   c\n> EOF\nout\n$ d\n```\n";
        let found = steps(page);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].command, "a <<EOF\nb\n  c\nEOF");
        assert_eq!(
            (found[0].output.as_slice(), found[0].line),
            (["out".to_owned()].as_slice(), 6)
        );
        assert_eq!((found[1].command.as_str(), found[1].output.len()), ("d", 0));
    }

    #[test]
    fn blocks_of_a_list_lose_its_indentation() {
        let page = "```sh\na\n```\n1. x\n   ```sh\n   b\n     c\n   ```\n```yaml\nd\n```\n";
        assert_eq!(blocks(page, "sh"), ["a", "b\n  c"]);
    }

    #[test]
    fn ages_and_widths_do_not_count_and_dots_stand_for_anything() {
        let step = |output: &[&str]| Step {
            line: 1,
            command: String::new(),
            output: output.iter().map(|line| (*line).to_owned()).collect(),
        };
        let table = step(&["NAME  AGE", "web   5s"]);
        assert!(table.matches("NAME    AGE\nweb     1m20s\n"));
        assert!(!table.matches("NAME    AGE\nweb     none\n"));
        assert!(!table.matches("NAME    AGE\n"));
        assert!(!table.matches("NAME AGE\nweb 5s\nmore\n"));
        assert!(step(&["...", "done"]).matches("1\n2\ndone"));
        assert!(step(&["...", "done"]).matches("done"));
        assert!(!step(&["...", "done"]).matches("done\nnot"));
        assert!(step(&["2 failed: ..."]).matches("2 failed: no such image"));
        assert!(!step(&["2 failed: ..."]).matches("1 failed: no such image"));
        assert!(step(&["...spec.image: Required..."]).matches("denied: spec.image: Required value: x"));
    }
}
