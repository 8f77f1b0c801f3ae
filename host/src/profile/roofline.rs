//! A roofline plot: what the array and the channels allow, and where the phases are.

use super::phase::{channel_peak, peak_macs_per_cycle, Phase};
use super::Profile;
use flightvlm_hw::config::HwConfig;
use plotters::prelude::*;

/// A phase on the plot.
struct Point {
    name: &'static str,
    /// Multiply-accumulates a byte of the channels.
    intensity: f64,
    /// Multiply-accumulates a second.
    rate: f64,
}

fn point(name: &'static str, p: &Phase) -> Option<Point> {
    let seconds = p.ms / 1e3;
    let (macs, bytes) = (p.macs as f64, p.channel_bytes as f64);
    let drawn = seconds > 0.0 && macs > 0.0 && bytes > 0.0;
    drawn.then(|| Point { name, intensity: macs / bytes, rate: macs / seconds })
}

/// The plot as SVG; `title` says what was profiled.
pub fn roofline_svg(p: &Profile, config: &HwConfig, title: &str) -> Result<String, String> {
    let bandwidth = channel_peak(config);
    let peak = peak_macs_per_cycle(config) * f64::from(config.clock_mhz) * 1e6;
    let points = [point("vision", &p.vision), point("prefill", &p.prefill), point("decode", &p.decode)];
    let points: Vec<Point> = points.into_iter().flatten().collect();
    let ridge = peak / bandwidth;
    let least = points.iter().map(|p| p.intensity).fold(ridge, f64::min) / 4.0;
    let most = points.iter().map(|p| p.intensity).fold(ridge, f64::max) * 4.0;
    let floor = points.iter().map(|p| p.rate).fold(peak, f64::min).min(least * bandwidth) / 2.0;
    let mut svg = String::new();
    draw(&mut svg, title, (least, most), (floor, peak * 2.0), bandwidth, peak, &points)
        .map_err(|error| error.to_string())?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    title: &str,
    (least, most): (f64, f64),
    (floor, top): (f64, f64),
    bandwidth: f64,
    peak: f64,
    points: &[Point],
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (760, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 15))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((least..most).log_scale(), (floor..top).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("multiply-accumulates per byte of the channels")
        .y_desc("GMAC/s")
        .x_label_formatter(&|x| significant(*x))
        .y_label_formatter(&|y| significant(*y / 1e9))
        .light_line_style(RGBColor(238, 238, 238))
        .draw()?;
    let roof = |x: f64| (x * bandwidth).min(peak);
    let xs = (0..=200).map(|i| least * (most / least).powf(f64::from(i) / 200.0));
    chart.draw_series(LineSeries::new(xs.map(|x| (x, roof(x))), BLACK.stroke_width(2)))?;
    let colours = [RGBColor(138, 99, 210), RGBColor(31, 157, 139), RGBColor(217, 130, 43)];
    for (p, colour) in points.iter().zip(colours) {
        let share = 100.0 * p.rate / roof(p.intensity);
        let at = (p.intensity, p.rate);
        chart.draw_series([Circle::new(at, 6, colour.filled())])?;
        let text = format!("{}: {:.0} % of the roof", p.name, share);
        let style = ("sans-serif", 14).into_font().color(&colour);
        let beside = EmptyElement::at(at) + Text::new(text, (10, -6), style);
        chart.draw_series([beside])?;
    }
    let label = |text: String, at| Text::new(text, at, ("sans-serif", 13).into_font().color(&BLACK));
    chart.draw_series([
        label(format!("{:.1} GB/s", bandwidth / 1e9), (least * 1.05, roof(least) * 2.6)),
        label(format!("{:.0} GMAC/s", peak / 1e9), (most / 4.0, peak * 1.15)),
    ])?;
    root.present()?;
    Ok(())
}

/// A number for an axis.
fn significant(x: f64) -> String {
    match x {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 1.0 => format!("{x:.1}"),
        x => format!("{x:.3}"),
    }
}
