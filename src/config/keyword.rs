//! Values from a closed list of words, and the word that was probably meant.

use super::Invalid;

/// How many characters a word may have for the nearest one to be looked for.
const MAX_WORD: usize = 128;

/// Finds the member of `all` that is written `text`; `what` names the list in the error.
pub(super) fn parse<T: Copy>(
    what: &str,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, Invalid> {
    if let Some(found) = all.iter().copied().find(|&one| as_str(one) == text) {
        return Ok(found);
    }
    let words: Vec<&str> = all.iter().copied().map(as_str).collect();
    let hint = nearest(text, words.iter().copied())
        .map(|word| format!(" (did you mean {word:?}?)"))
        .unwrap_or_default();
    let list = words.join(", ");
    Err(Invalid::new(format!("unknown {what} {text:?}; expected one of {list}{hint}")))
}

/// The candidate with the smallest edit distance to `word`, case ignored; none for a word of more than
/// 128 characters, which clients may send and which would take long.
///
/// A candidate is near when at most a third of the word (rounded up) differs.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let length = word.chars().take(MAX_WORD + 1).count();
    if length > MAX_WORD {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = length.div_ceil(3);
    let (distance, candidate) = candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .min_by_key(|&(distance, _)| distance)?;
    (distance <= allowed).then_some(candidate)
}

/// The Levenshtein distance, one row of the table at a time.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, x) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (above, y) in row.iter_mut().skip(1).zip(to.chars()) {
            left = (diagonal + usize::from(x != y)).min(*above + 1).min(left + 1);
            diagonal = std::mem::replace(above, left);
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("a", "a", 0)]
        {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }

    #[test]
    fn nearest_ignores_case_and_far_words() {
        let known = ["address", "tls", "certificate"];
        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("TLS", known), Some("tls"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
