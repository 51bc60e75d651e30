//! Paths: the names of an actor and its supervisors, as `chat/sessions/17`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The path of an actor in its tree. Cheap to clone. Displayed as `chat/sessions/17`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path {
    parent: Option<Arc<Path>>,
    name: Name,
}

/// The last part of a path: a name, or the number of a pool's child.
///
/// A number is formatted only when it is displayed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Text(Arc<str>),
    Number(u64),
}

impl Name {
    pub(crate) fn from_text(name: impl Into<Cow<'static, str>>) -> Name {
        let name: Cow<'static, str> = name.into();
        Name::Text(name.into())
    }
}

impl Path {
    pub(crate) fn root(name: Name) -> Path {
        Path { parent: None, name }
    }

    pub(crate) fn with_parent(parent: &Arc<Path>, name: Name) -> Path {
        Path { parent: Some(parent.clone()), name }
    }

    /// Returns whether `text` is the whole path, or the path without its root.
    pub fn matches(&self, text: &str) -> bool {
        let path = self.to_string();
        path == text || path.split_once('/').is_some_and(|(_, rest)| rest == text)
    }

    /// Returns whether this is the root of its tree.
    pub fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    /// Returns whether this is a child of a pool. Its name is a number.
    pub fn is_pool_child(&self) -> bool {
        matches!(self.name, Name::Number(_))
    }

    /// Returns the last part of the path.
    pub fn name(&self) -> String {
        self.name.to_string()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            write!(f, "{parent}/")?;
        }
        self.name.fmt(f)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Text(text) => f.write_str(text),
            Name::Number(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_displayed_and_matched() {
        let root = Arc::new(Path::root(Name::Text("chat".into())));
        let pool = Arc::new(Path::with_parent(&root, Name::Text("sessions".into())));
        let session = Path::with_parent(&pool, Name::Number(17));
        assert_eq!(session.to_string(), "chat/sessions/17");
        assert!(session.matches("sessions/17") && session.matches("chat/sessions/17"));
        assert!(!session.matches("17"));
        assert_eq!(session.name(), "17");
    }
}
