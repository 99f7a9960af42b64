//! The known word that a misspelt one probably means.

/// The longest word, in characters, that is compared with the candidates.
const MAX_WORD: usize = 128;

/// Returns the candidate with the smallest edit distance to `word`, ignoring letter case.
///
/// A candidate is near when at most a third of the word (rounded up) differs. The answer is `None` if
/// no candidate is near, and for words of more than 128 characters: clients may send them, and the
/// comparison would take long.
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
