//! Lists in notices, such as `ada, bob and 35 others`.

use crate::wire::chat::names::validate_nick;

/// Formats the first of `total` entries, and the number of the others.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::format_list;
///
/// assert_eq!(format_list(["ada", "bob"], 2), "ada, bob");
/// assert_eq!(format_list(["ada", "bob"], 3), "ada, bob and 1 other");
/// assert_eq!(format_list(["ada", "bob"], 37), "ada, bob and 35 others");
/// ```
pub fn format_list<E: AsRef<str>>(entries: impl IntoIterator<Item = E>, total: usize) -> String {
    let (mut list, mut listed) = (String::new(), 0);
    for entry in entries {
        if listed > 0 {
            list.push_str(", ");
        }
        list.push_str(entry.as_ref());
        listed += 1;
    }
    match total.saturating_sub(listed) {
        0 => {}
        1 => list.push_str(" and 1 other"),
        others => list.push_str(&format!(" and {others} others")),
    }
    list
}

/// A list of nicknames in a notice. All of them are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NickList<'a>(&'a str);

impl<'a> NickList<'a> {
    /// Parses a list that [`format_list`] has made. Returns `None` if an entry is no nickname.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockactors::wire::chat::NickList;
    ///
    /// let list = NickList::parse("ada, bob and 35 others").unwrap();
    /// assert_eq!(list.iter().collect::<Vec<_>>(), ["ada", "bob"]);
    /// assert_eq!(NickList::parse("ada, two words"), None);
    /// ```
    pub fn parse(text: &'a str) -> Option<NickList<'a>> {
        let nicks = match text.rsplit_once(" and ") {
            Some((nicks, others)) if is_other_count(others) => nicks,
            _ => text,
        };
        let is_valid = nicks.split(", ").all(|nick| validate_nick(nick).is_ok());
        is_valid.then_some(NickList(nicks))
    }

    /// Returns the nicknames that the list names.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.split(", ")
    }
}

/// Returns whether a text is the number of the others at the end of a list.
fn is_other_count(text: &str) -> bool {
    let count = text.strip_suffix(" others").or_else(|| text.strip_suffix(" other"));
    count.is_some_and(|count| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()))
}
