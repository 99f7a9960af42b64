//! CSV (RFC 4180) in which no spreadsheet finds a formula.

/// A row.
pub(super) fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(&without_formulas(cell))).collect();
    cells.join(",")
}

/// A cell, in quotes where some spreadsheet would otherwise read it as several, or as something else.
fn quoted(cell: &str) -> String {
    match cell.contains([',', ';', '\t', '"', '\n', '\r', '\'']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}
/// The text of a cell with `'` before whatever a spreadsheet would take for a formula: at the beginning, and
/// after each character that some spreadsheet takes for a separator. Where it does, quotes don't help.
fn without_formulas(cell: &str) -> String {
    let mut safe = String::with_capacity(cell.len());
    let mut begins = true;
    for character in cell.chars() {
        if begins && "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}\t\r".contains(character) {
            safe.push('\'');
        }
        safe.push(character);
        begins = match character {
            ',' | ';' | '\t' | '\n' | '\r' => true,
            // Blanks and quotes before a formula are skipped.
            _ => begins && (character.is_whitespace() || character == '"'),
        };
    }
    safe
}
#[cfg(test)]
mod tests {
    use super::*;

    /// The cells of a row, as a spreadsheet reads it that goes by one separator.
    fn cells(row: &str, separator: char) -> Vec<&str> {
        row.split([separator, '\n', '\r']).map(|cell| cell.trim_start_matches(['"', ' '])).collect()
    }

    #[test]
    fn no_cell_is_a_formula_whatever_separates_cells() {
        for formula in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\u{ff1d}1", "\u{ff0b}1", "\u{ff0d}1", "\u{ff20}1"]
        {
            for before in ["", " ", "m;", "m; ", "m\t", "m,", "m\n", "m;\"", "\t", "\r", "\";"] {
                let printed =
                    row(&std::array::from_fn::<String, 11, _>(|_| format!("{before}{formula}")));
                for separator in [',', ';', '\t'] {
                    let all = cells(&printed, separator);
                    assert!(
                        !all.iter().any(|cell| cell.starts_with(formula)),
                        "{printed:?} {separator:?}"
                    );
                }
            }
        }
        let plain = row(&std::array::from_fn::<String, 11, _>(|_| "a-b@example.com".to_owned()));
        assert!(!plain.contains(['"', '\'']), "{plain}");
    }
}
