//! The word that a misspelled one stands for.

/// The length up to which words are compared, in characters. It bounds the work for hostile words.
const MAX_LEN: usize = 64;

/// Returns the candidate with the smallest edit distance to `word`, if it is at most a third of
/// the word's length.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().take(MAX_LEN + 1).count();
    let max_distance = (length / 3).max(1);
    let ranked = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let best = ranked.min_by_key(|(distance, _)| *distance);
    best.filter(|(distance, _)| length <= MAX_LEN && *distance <= max_distance).map(|best| best.1)
}

/// Returns the number of insertions, deletions, replacements and swaps of neighbours that turn
/// one word into the other (the optimal string alignment distance).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(MAX_LEN).collect();
    let to: Vec<char> = to.chars().take(MAX_LEN).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut cost = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_is_within_a_third_of_its_length() {
        let words = ["--clients", "--color", "--connect"];
        assert_eq!(nearest("--cleints", words), Some("--clients"));
        assert_eq!(nearest("--conect", words), Some("--connect"));
        assert_eq!(nearest("--bogus", words), None);
        assert_eq!(nearest("tpc", ["tcp", "udp"]), Some("tcp"));
        assert_eq!(nearest("", ["tcp"]), None);
        assert_eq!(nearest("tcp", []), None);
    }

    #[test]
    fn long_word_has_no_nearest() {
        let long = "\u{fc}".repeat(1 << 20);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}
