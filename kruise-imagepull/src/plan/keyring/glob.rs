//! Shell globs for one part of a host name: `*`, `?`, `[a-z]`, `[^a]`.

/// Returns whether `text` fits `pattern`. A pattern with an unclosed `[` fits nothing.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Positions in the pattern that can be reached after the text so far; one pass, so no pattern can take long.
    let mut reached = vec![0];
    skip_stars(&pattern, &mut reached);
    for character in text {
        let mut next = Vec::new();
        for position in reached {
            match pattern.get(position) {
                Some('*') => next.push(position),
                Some('?') => next.push(position + 1),
                Some('[') => next.extend(class(&pattern, position, character)),
                Some(literal) if *literal == character => next.push(position + 1),
                _ => {}
            }
        }
        skip_stars(&pattern, &mut next);
        next.sort_unstable();
        next.dedup();
        reached = next;
    }
    reached.contains(&pattern.len())
}

/// A star may stand for nothing: what is before it reaches what is behind it.
fn skip_stars(pattern: &[char], reached: &mut Vec<usize>) {
    let mut index = 0;
    while let Some(position) = reached.get(index).copied() {
        if pattern.get(position) == Some(&'*') {
            reached.push(position + 1);
        }
        index += 1;
    }
}

/// Returns the position behind the class that opens at `open` if it holds `character`.
fn class(pattern: &[char], open: usize, character: char) -> Option<usize> {
    let length = pattern.get(open..)?.iter().position(|c| *c == ']')?;
    let close = open + length;
    let mut inside = pattern.get(open + 1..close)?;
    let negated = inside.first() == Some(&'^');
    if negated {
        inside = inside.get(1..)?;
    }
    let mut holds = false;
    while let Some((low, rest)) = inside.split_first() {
        let (high, rest) = match rest {
            ['-', high, rest @ ..] => (high, rest),
            _ => (low, rest),
        };
        holds |= (*low..=*high).contains(&character);
        inside = rest;
    }
    (holds != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_and_questions_and_classes_fit_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("?b", "ab", true),
            ("?b", "b", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[", "[", false),
            ("**a**", "bab", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
