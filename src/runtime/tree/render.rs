//! How a tree is shown: as a table for people, as JSON for programs, as a graph for Graphviz.

use std::fmt::{self, Write};

use crate::runtime::json;
use crate::runtime::{NodeKind, NodeState, Snapshot};

const COLUMN_TITLES: [&str; 7] =
    ["actor", "state", "restarts", "uptime", "mailbox", "dropped", "handled"];

impl Snapshot {
    fn push_rows(&self, lead: &str, below: &str, rows: &mut Vec<[String; 7]>) {
        let is_actor = self.kind == NodeKind::Actor;
        let of_actor = |count: u64| if is_actor { count.to_string() } else { "-".into() };
        rows.push([
            format!("{lead}{}", self.path.name()),
            self.state.as_str().into(),
            self.restarts.to_string(),
            format!("{:.1}s", self.uptime.as_secs_f64()),
            self.mailbox.map_or_else(|| "-".into(), |(len, cap)| format!("{len}/{cap}")),
            of_actor(self.dropped),
            of_actor(self.handled),
        ]);
        let last = self.children.len().saturating_sub(1);
        for (i, child) in self.children.iter().enumerate() {
            let (lead, next) = if i == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.push_rows(&format!("{below}{lead}"), &format!("{below}{next}"), rows);
        }
    }

    /// Writes the tree as one JSON object on one line, the children nested.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockactors::runtime::{Context, Child, Outcome, Strategy, Supervisor, System};
    ///
    /// let mut tree = Supervisor::new("shop", Strategy::OneForOne);
    /// let system = System::new();
    /// let handle = system.handle();
    /// tree.child(Child::new("clerk", move || {
    ///     let handle = handle.clone();
    ///     async move |_: Context<()>| -> Outcome {
    ///         let json = handle.tree().expect("it runs").to_json();
    ///         assert!(json.starts_with(r#"{"path":"shop","kind":"supervisor","state":"running""#));
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
        if let Some((waiting, capacity)) = self.mailbox {
            let (dropped, handled) = (self.dropped, self.handled);
            json.push_str(&format!(
                r#","waiting":{waiting},"capacity":{capacity},"dropped":{dropped},"handled":{handled}"#
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

    /// Writes the tree as a graph in Graphviz's language: `dot -Tsvg` draws it.
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
    use crate::runtime::Path;
    use crate::runtime::tree::path::Name;

    fn shop() -> Snapshot {
        let root = Arc::new(Path::root(Name::Text("shop".into())));
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
        let clerk = Path::with_parent(&root, Name::Text("the \"clerk\"".into()));
        let mut shop = node((*root).clone(), NodeKind::Supervisor, None);
        shop.children.push(node(clerk, NodeKind::Actor, Some((3, 64))));
        shop
    }

    #[test]
    fn as_a_table() {
        let expected = "\
actor           state    restarts  uptime  mailbox  dropped  handled
shop            running         2    1.5s        -        -        -
└─ the \"clerk\"  running         2    1.5s     3/64        1        9
";
        assert_eq!(shop().to_string(), expected);
    }

    #[test]
    fn as_json() {
        let expected = concat!(
            r#"{"path":"shop","kind":"supervisor","state":"running","restarts":2,"uptime":1.500000,"#,
            r#""children":[{"path":"shop/the \"clerk\"","kind":"actor","state":"running","#,
            r#""restarts":2,"uptime":1.500000,"waiting":3,"capacity":64,"dropped":1,"handled":9,"#,
            r#""children":[]}]}"#
        );
        assert_eq!(shop().to_json(), expected);
    }

    #[test]
    fn as_a_graph() {
        let expected = r#"digraph tree {
  node [shape=box];
  "shop" [label="shop\nrunning", shape=box];
  "shop/the \"clerk\"" [label="the \"clerk\"\nrunning", shape=ellipse];
  "shop" -> "shop/the \"clerk\"";
}
"#;
        assert_eq!(shop().to_dot(), expected);
    }
}
