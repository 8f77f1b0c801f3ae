//! Prints the model beside published figures.

use flightvlm_mem::acceptance::{rows, Grade};

fn main() {
    let mut table = "";
    let mut failures = 0;
    for row in rows() {
        if row.table != table {
            table = row.table;
            println!("\n{table}");
            println!(
                "  {:<38} {:>10} {:>10}  {:<6} {:>7}  {:<4}  source of the published figure; notes",
                "case", "published", "modelled", "unit", "error", ""
            );
        }
        let grade = match row.grade {
            Grade::Measured => "measured",
            Grade::Simulated => "simulated",
            Grade::Formula => "formula",
        };
        println!(
            "  {:<38} {:>10.3} {:>10.3}  {:<6} {:>+6.1}%  {:<4}  published, {grade}: {}{}{}",
            row.case,
            row.published,
            row.modelled,
            row.unit,
            row.error() * 100.0,
            match row.passes() {
                Some(true) => "pass",
                Some(false) => "FAIL",
                None => "-",
            },
            row.source,
            if row.note.is_empty() { "" } else { "; " },
            row.note
        );
        failures += usize::from(row.passes() == Some(false));
    }
    println!("\n{failures} rows outside their tolerance");
    std::process::exit(i32::from(failures > 0));
}
