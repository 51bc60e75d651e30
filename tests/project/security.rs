//! Checks that the tests which `docs/security.md` names exist.

use std::fs;
use std::path::Path;

/// Collects the names of all functions of the Rust files below a directory.
fn collect_functions(directory: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let functions = text.split("fn ").skip(1);
            names.extend(functions.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
}

#[test]
fn named_tests_of_security_page_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut functions = Vec::new();
    for directory in ["actors", "src", "tests"] {
        collect_functions(&root.join(directory), &mut functions);
    }
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let named: Vec<&str> = page.split('`').filter(|text| text.contains("::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let function = name.rsplit("::").next().unwrap();
        assert!(functions.iter().any(|other| other == function), "there is no test {name}");
    }
}
