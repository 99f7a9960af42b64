//! Characters that no reader sees.

use std::borrow::Cow;

/// The characters with the property `Default_Ignorable_Code_Point` (Unicode 17.0, `DerivedCoreProperties.txt`).
const IGNORABLE: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character is not seen: it is ignored in display, or separates lines or annotations.
pub fn is_unseen(character: char) -> bool {
    // Latin text, which is most, has one such character.
    if character < '\u{300}' {
        return character == '\u{ad}';
    }
    matches!(character, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
        || IGNORABLE.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// The text as readers see it: without unseen characters and outer blanks.
pub fn as_seen(text: &str) -> Cow<'_, str> {
    match text.contains(is_unseen) {
        true => Cow::Owned(text.replace(is_unseen, "").trim().to_owned()),
        false => Cow::Borrowed(text.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_characters_and_outer_blanks_are_not_seen() {
        for unseen in [
            '\u{ad}',
            '\u{34f}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{2028}',
            '\u{202e}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            assert!(is_unseen(unseen), "U+{:04X}", u32::from(unseen));
            assert_eq!(as_seen(&format!(" {unseen} a{unseen}b\u{a0}")), "ab");
        }
        for seen in ['a', ' ', '\u{e9}', '\u{301}', '\u{915}', '\u{7530}', '\u{1f600}', '\u{fffd}']
        {
            assert!(!is_unseen(seen), "U+{:04X}", u32::from(seen));
        }
        assert!(IGNORABLE.is_sorted() && IGNORABLE.iter().all(|(first, last)| first <= last));
        assert_eq!(as_seen(" \u{200b}\t"), "");
    }
}
