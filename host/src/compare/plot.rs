//! The comparison as a picture: joules a token, ours with both ends, theirs by grade.

use super::ours::Task;
use super::record::Grade;
use super::rows::{Comparison, Row};
use plotters::prelude::*;

const OURS: RGBColor = RGBColor(31, 119, 180);
const PUBLISHED: RGBColor = RGBColor(150, 150, 150);
const MEASURED: RGBColor = RGBColor(44, 130, 60);
const BAR: i32 = 20;
const GAP: i32 = 7;
const LEFT: i32 = 330;
const WIDTH: i32 = 920;

/// A bar.
struct Bar {
    label: String,
    mid: f64,
    ends: Option<(f64, f64)>,
    colour: RGBColor,
}

fn bars(c: &Comparison, task: Task) -> Vec<Bar> {
    let mut out: Vec<Bar> = c
        .ours
        .iter()
        .filter(|o| o.task == task)
        .map(|o| Bar {
            label: format!("{} {} {} ({})", o.target, o.weights, o.sparsity, o.grade),
            mid: o.j_per_token.mid,
            ends: Some((o.j_per_token.low, o.j_per_token.high)),
            colour: OURS,
        })
        .collect();
    // A baseline is the same whichever of ours it is set against.
    let first = c.ours.iter().find(|o| o.task == task).map(|o| format!("{} {}", o.weights, o.sparsity));
    let theirs =
        |row: &&Row| row.task == task && Some(&row.ours) == first.as_ref() && row.energy_ratio.is_some();
    out.extend(c.rows.iter().filter(theirs).filter_map(|row| {
        let (colour, grade) = match row.grade {
            Grade::Measured => (MEASURED, "measured"),
            Grade::Published => (PUBLISHED, "published"),
        };
        let part = if row.decode_alone && task == Task::ImageQuestion { ", decode alone" } else { "" };
        let label = format!("{} ({} bits, {grade}{part})", row.baseline, row.w_bits);
        Some(Bar { label, mid: row.j_per_token?, ends: None, colour })
    }));
    out
}

/// SVG.
pub fn comparison_svg(c: &Comparison) -> Result<String, String> {
    let title = format!("{}, {:.1} B parameters in the language model, batch 1", c.model, c.params_b);
    let panels: Vec<(Task, Vec<Bar>)> = [Task::TextDecode, Task::ImageQuestion]
        .into_iter()
        .map(|task| (task, bars(c, task)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let rows: i32 = panels.iter().map(|(_, bars)| bars.len() as i32).sum();
    let height = 60 + rows * (BAR + GAP) + panels.len() as i32 * 44 + 40;
    let mut svg = String::new();
    draw(&mut svg, &title, &panels, height).map_err(|error| error.to_string())?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    panels: &[(Task, Vec<Bar>)],
    height: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (WIDTH as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let font = |size: u32| ("sans-serif", size).into_font().color(&BLACK);
    root.draw(&Text::new(title.to_owned(), (14, 14), font(16)))?;
    let mut y = 48;
    for (task, bars) in panels {
        root.draw(&Text::new(format!("{}: joules a token", task.title()), (14, y), font(14)))?;
        y += 26;
        let most = bars.iter().map(|bar| bar.ends.map_or(bar.mid, |(_, high)| high)).fold(1e-9, f64::max);
        let x = |joules: f64| LEFT + (joules / most * f64::from(WIDTH - LEFT - 90)) as i32;
        for bar in bars {
            root.draw(&Text::new(bar.label.clone(), (14, y + 4), font(12)))?;
            root.draw(&Rectangle::new([(LEFT, y), (x(bar.mid), y + BAR)], bar.colour.filled()))?;
            let mut end = x(bar.mid);
            if let Some((low, high)) = bar.ends {
                let middle = y + BAR / 2;
                root.draw(&PathElement::new(vec![(x(low), middle), (x(high), middle)], BLACK))?;
                for tip in [x(low), x(high)] {
                    root.draw(&PathElement::new(vec![(tip, middle - 5), (tip, middle + 5)], BLACK))?;
                }
                end = x(high);
            }
            root.draw(&Text::new(format!("{:.2}", bar.mid), (end + 6, y + 4), font(12)))?;
            y += BAR + GAP;
        }
        y += 18;
    }
    let note =
        "Ours: simulated time, modelled energy of the board, low to high end. Theirs: board power; the \
                computer around it on neither side.";
    root.draw(&Text::new(note, (14, height - 28), font(12)))?;
    root.present()?;
    Ok(())
}
