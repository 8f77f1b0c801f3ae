//! One printer, deterministic.

use super::{Layer, Linear, Mlp, Norm, Plan};
use std::fmt;

fn linear(l: &Linear) -> String {
    format!("linear {}->{}{} {}", l.cols_in, l.cols_out, if l.b.is_some() { " +bias" } else { "" }, l.path)
}

fn norm(n: &Norm) -> String {
    let kind = if n.b.is_some() { "layer_norm" } else { "rms_norm" };
    format!("{kind} {} eps {:e} {}", n.cols, n.eps, n.path)
}

fn layer(f: &mut fmt::Formatter<'_>, l: &Layer) -> fmt::Result {
    let a = &l.attention;
    writeln!(f, "    norm+quant {}", norm(&l.norm1))?;
    for p in [&a.q, &a.k, &a.v] {
        writeln!(f, "    {}", linear(p))?;
    }
    writeln!(
        f,
        "    attention heads {} kv {} head_dim {} scale {}{}{}{}{}{}",
        a.heads,
        a.kv_heads,
        a.head_dim,
        a.scale,
        match (a.causal, a.prefix) {
            (_, true) => " prefix",
            (true, _) => " causal",
            _ => "",
        },
        a.mask.map_or(String::new(), |m| format!(" {m}")),
        a.windows.map_or(String::new(), |side| format!(" windows {side}")),
        if a.qk_norm.is_some() { " qk_norm" } else { "" },
        if a.rope.is_some() { " rope" } else { "" }
    )?;
    writeln!(f, "    linear+residual+statistic {}", linear(&a.o))?;
    writeln!(f, "    norm+quant {}", norm(&l.norm2))?;
    let (ups, down, act) = match &l.mlp {
        Mlp::Gated { gate, up, down, act } => (vec![gate, up], down, act),
        Mlp::Plain { up, down, act } => (vec![up], down, act),
    };
    for u in ups {
        writeln!(f, "    {}", linear(u))?;
    }
    writeln!(f, "    {}+quant", act.name())?;
    writeln!(f, "    linear+residual {}", linear(down))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(v) = &self.vision {
            writeln!(f, "vision rows {} tokens {} skip {} join {}", v.rows, v.tokens, v.skip_rows, v.join)?;
            if let Some(conv) = &v.conv {
                write!(f, "{conv}")?;
            }
            if let Some(patch) = &v.patch {
                writeln!(f, "  patch {}", linear(patch))?;
            }
            if let Some(n) = &v.pre_norm {
                writeln!(f, "  {}", norm(n))?;
            }
            if let Some(first) = v.layers.first() {
                writeln!(f, "  loop {} layers", v.layers.len())?;
                layer(f, first)?;
            }
            for n in v.post_norm.iter().chain(&v.projector_norm) {
                writeln!(f, "  {}", norm(n))?;
            }
            if let Some((_, pool)) = &v.pool {
                writeln!(f, "  attention pooling")?;
                layer(f, pool)?;
            }
            if let Some(c) = &v.compress {
                writeln!(
                    f,
                    "  compress windows of {0} x {0} of states {1:?} for the question",
                    c.side, c.states
                )?;
                writeln!(f, "    {}, norm {}", linear(&c.text.0), norm(&c.text.1))?;
                for part in [&c.q, &c.k, &c.v] {
                    for (l, act) in &part.linears {
                        writeln!(f, "    {} {}", linear(l), act.map_or("", |a| a.name()))?;
                    }
                    writeln!(f, "    {}", norm(&part.norm))?;
                }
                writeln!(f, "    attention heads {} {}", c.attention.heads, linear(&c.attention.o))?;
            }
            for (l, act) in &v.projector {
                writeln!(f, "  projector {} {}", linear(l), act.map_or("", |a| a.name()))?;
            }
        }
        let t = &self.text;
        writeln!(f, "text vocab {} hidden {}", t.vocab, t.hidden)?;
        if let Some(first) = t.layers.first() {
            writeln!(f, "  loop {} layers", t.layers.len())?;
            layer(f, first)?;
        }
        writeln!(f, "  {}", norm(&t.final_norm))?;
        writeln!(f, "  head {}", linear(&t.head))
    }
}
