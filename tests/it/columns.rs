//! docs/scale.md lists the columns of CSV and Parquet, in their order and with their types.

use callflow::report::rows::{Table, Type};

#[test]
fn every_column_is_documented_in_its_place() {
    let text = std::fs::read_to_string("docs/scale.md").unwrap();
    for table in Table::ALL {
        let section = text.split(&format!("\n### {}\n", table.name())).nth(1).expect("a section for each table");
        let section = section.split("\n### ").next().unwrap();
        let rows = section.lines().filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            Some((name, cells.next()?))
        });
        let documented: Vec<(&str, &str)> = rows.collect();
        let columns = table.columns();
        let names: Vec<&str> = documented.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, columns.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for ((name, of), (_, told)) in columns.iter().zip(&documented) {
            let wanted: &[&str] = match of {
                Type::Text => &["text", "list"],
                Type::Int => &["integer"],
                Type::Real => &["real"],
                Type::Bool => &["boolean"],
                Type::Time => &["time"],
            };
            assert!(wanted.contains(told), "{}.{name}: {told}", table.name());
        }
    }
}
