//! Formats of a snapshot: a table for people, JSON for programs, and a graph for Graphviz.

use std::fmt::{self, Write};

use crate::runtime::json;
use crate::runtime::tree::snapshot::{NodeKind, NodeState, Snapshot};

const COLUMN_TITLES: [&str; 7] =
    ["actor", "state", "restarts", "uptime", "mailbox", "dropped", "handled"];

impl Snapshot {
    fn push_rows(&self, branch: &str, indent: &str, rows: &mut Vec<[String; 7]>) {
        let is_actor = self.kind == NodeKind::Actor;
        let actor_only = |count: u64| if is_actor { count.to_string() } else { "-".into() };
        rows.push([
            format!("{branch}{}", self.path.name()),
            self.state.as_str().into(),
            self.restarts.to_string(),
            format!("{:.1}s", self.uptime.as_secs_f64()),
            self.mailbox.map_or_else(|| "-".into(), |(len, capacity)| format!("{len}/{capacity}")),
            actor_only(self.dropped),
            actor_only(self.handled),
        ]);
        let last = self.children.len().saturating_sub(1);
        for (i, child) in self.children.iter().enumerate() {
            let (branch, next) = if i == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.push_rows(&format!("{indent}{branch}"), &format!("{indent}{next}"), rows);
        }
    }

    /// Returns the tree as one line of JSON. Children are nested objects.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockactors::runtime::{Context, Child, Outcome, Strategy, Supervisor, System};
    ///
    /// let mut tree = Supervisor::new("app", Strategy::OneForOne);
    /// let system = System::new();
    /// let handle = system.handle();
    /// tree.child(Child::new("worker", move || {
    ///     let handle = handle.clone();
    ///     async move |_: Context<()>| -> Outcome {
    ///         let json = handle.tree().expect("the system runs").to_json();
    ///         assert!(json.starts_with(r#"{"path":"app","kind":"supervisor","state":"running""#));
    ///         Ok(())
    ///     }
    /// }).transient().significant());
    /// system.run(tree).unwrap();
    /// ```
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json);
        json
    }

    fn write_json(&self, json: &mut String) {
        let text = format_args!(
            r#"{{"path":{},"kind":"{}","state":"{}","restarts":{},"uptime":{:.6}"#,
            quote(&self.path.to_string()),
            self.kind.as_str(),
            self.state.as_str(),
            self.restarts,
            self.uptime.as_secs_f64(),
        )
        .to_string();
        json.push_str(&text);
        if let Some((queued, capacity)) = self.mailbox {
            json.push_str(&format!(
                concat!(r#","waiting":{},"capacity":{}"#, r#","dropped":{},"handled":{}"#),
                queued, capacity, self.dropped, self.handled
            ));
        }
        json.push_str(r#","children":["#);
        for (i, child) in self.children.iter().enumerate() {
            if i > 0 {
                json.push(',');
            }
            child.write_json(json);
        }
        json.push_str("]}");
    }

    /// Returns the tree as a graph in the DOT language. Draw it with `dot -Tsvg`.
    pub fn to_dot(&self) -> String {
        let mut dot = String::from("digraph tree {\n  node [shape=box];\n");
        self.write_dot(&mut dot);
        dot.push_str("}\n");
        dot
    }

    fn write_dot(&self, dot: &mut String) {
        let path = quote(&self.path.to_string());
        let shape = match self.kind {
            NodeKind::Actor => "ellipse",
            NodeKind::Supervisor => "box",
            NodeKind::Pool => "box3d",
        };
        let label = format!("{}\n{}", self.path.name(), self.state.as_str());
        dot.push_str(&format!("  {path} [label={}, shape={shape}];\n", quote(&label)));
        for child in &self.children {
            child.write_dot(dot);
            dot.push_str(&format!("  {path} -> {};\n", quote(&child.path.to_string())));
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![COLUMN_TITLES.map(String::from)];
        self.push_rows("", "", &mut rows);
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; COLUMN_TITLES.len()] = std::array::from_fn(width);
        for row in &rows {
            let mut cells = row.iter().zip(widths).enumerate();
            cells.try_for_each(|(column, (cell, width))| match column {
                0 => write!(f, "{cell:width$}"),
                1 => write!(f, "  {cell:width$}"),
                _ => write!(f, "  {cell:>width$}"),
            })?;
            f.write_char('\n')?;
        }
        Ok(())
    }
}

impl NodeKind {
    fn as_str(self) -> &'static str {
        match self {
            NodeKind::Actor => "actor",
            NodeKind::Supervisor => "supervisor",
            NodeKind::Pool => "pool",
        }
    }
}

impl NodeState {
    fn as_str(self) -> &'static str {
        match self {
            NodeState::Idle => "idle",
            NodeState::Running => "running",
            NodeState::Restarting => "restarting",
            NodeState::Stopping => "stopping",
            NodeState::Starting => "starting",
        }
    }
}

/// Quotes a text for JSON and for Graphviz.
fn quote(text: &str) -> String {
    json::quote(text, char::is_control)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::runtime::tree::path::{Name, Path};

    fn snapshot() -> Snapshot {
        let path = Arc::new(Path::root(Name::Text("app".into())));
        let node = |path, kind, mailbox| Snapshot {
            path,
            kind,
            state: NodeState::Running,
            restarts: 2,
            uptime: Duration::from_millis(1500),
            mailbox,
            dropped: 1,
            handled: 9,
            children: Vec::new(),
        };
        let actor = Path::with_parent(&path, Name::Text("the \"actor\"".into()));
        let mut root = node((*path).clone(), NodeKind::Supervisor, None);
        root.children.push(node(actor, NodeKind::Actor, Some((3, 64))));
        root
    }

    #[test]
    fn snapshot_is_displayed_as_table() {
        let expected = "\
actor           state    restarts  uptime  mailbox  dropped  handled
app             running         2    1.5s        -        -        -
└─ the \"actor\"  running         2    1.5s     3/64        1        9
";
        assert_eq!(snapshot().to_string(), expected);
    }

    #[test]
    fn snapshot_is_formatted_as_json() {
        let expected = concat!(
            r#"{"path":"app","kind":"supervisor","state":"running","#,
            r#""restarts":2,"uptime":1.500000,"#,
            r#""children":[{"path":"app/the \"actor\"","kind":"actor","state":"running","#,
            r#""restarts":2,"uptime":1.500000,"waiting":3,"capacity":64,"dropped":1,"handled":9,"#,
            r#""children":[]}]}"#
        );
        assert_eq!(snapshot().to_json(), expected);
    }

    #[test]
    fn snapshot_is_formatted_as_dot() {
        let expected = r#"digraph tree {
  node [shape=box];
  "app" [label="app\nrunning", shape=box];
  "app/the \"actor\"" [label="the \"actor\"\nrunning", shape=ellipse];
  "app" -> "app/the \"actor\"";
}
"#;
        assert_eq!(snapshot().to_dot(), expected);
    }
}
