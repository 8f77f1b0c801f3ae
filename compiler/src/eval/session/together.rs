//! Prompts that run through the language model side by side, node by node, so that the weights of a layer can change
//! before the layers behind it run.

use super::{Embedded, Feed, Session};
use crate::graph::{NodeId, Position, Rows, TokenGrid, ValueId, WeightId};
use std::sync::Arc;

/// Prompts on their way through the language model.
pub struct Together<'m> {
    session: Session<'m>,
    runs: Vec<Run>,
    /// Nodes that have run.
    done: usize,
}

#[derive(Clone)]
struct Run {
    ids: Vec<u32>,
    images: Vec<f32>,
    positions: Vec<Position>,
    table_rows: Vec<u32>,
    values: Vec<Option<Vec<f32>>>,
}

impl<'m> Together<'m> {
    /// At the first node. Each prompt has passed [`Session::check`] with the same pictures.
    pub fn new(session: Session<'m>, prompts: &[(Vec<u32>, Vec<Embedded>)]) -> Self {
        let image = session.image_value.map(|(value, _)| value);
        let run = |(ids, pictures): &(Vec<u32>, Vec<Embedded>)| {
            let images: Vec<f32> = pictures.iter().flat_map(|p| &p.rows).copied().collect();
            let grids: Vec<TokenGrid> = pictures.iter().map(|p| p.grid.clone()).collect();
            let mut values = vec![None; session.graph.values.len()];
            if let Some(image) = image {
                values[image.index()] = Some(images.clone());
            }
            let positions = session.spec.positions(ids, &grids).rows;
            Run { ids: ids.clone(), images, positions, table_rows: (0..ids.len() as u32).collect(), values }
        };
        let runs = prompts.iter().map(run).collect();
        Together { runs, done: 0, session }
    }

    /// The first `prompts` of them, where they are now, to be run another way.
    pub fn fork(&self, prompts: usize) -> Self {
        let runs = self.runs.iter().take(prompts).cloned().collect();
        Together { runs, done: self.done, session: self.session.fork() }
    }

    /// Runs the nodes in front of `node`.
    pub fn run_to(&mut self, node: NodeId) {
        let graph = self.session.graph;
        for (id, node) in graph.iter().take(node.index()).skip(self.done) {
            let Some(output) = node.output.filter(|output| graph.ty(*output).rows == Rows::Prompt) else {
                continue;
            };
            for run in &mut self.runs {
                let feed = Feed {
                    ids: &run.ids,
                    images: &run.images,
                    positions: run.positions.clone(),
                    table_rows: run.table_rows.clone(),
                    ..Feed::default()
                };
                // Every prompt begins with an empty cache, and none is continued.
                self.session.caches.clear();
                let result = self.session.node(id, node, &mut run.values, &feed, &mut |_| ());
                run.values[output.index()] = Some(result);
                for input in &node.inputs {
                    if self.session.last_use[input.index()] == Some(id) {
                        run.values[input.index()] = None;
                    }
                }
            }
        }
        self.done = self.done.max(node.index());
    }

    /// Prompts.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// True without prompts.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// A prompt's rows of a value that has been computed and is still to be read.
    pub fn rows(&self, prompt: usize, value: ValueId) -> &[f32] {
        self.runs[prompt].values[value.index()].as_deref().expect("invariant: it has been computed")
    }

    /// The same, to be changed.
    pub fn rows_mut(&mut self, prompt: usize, value: ValueId) -> &mut [f32] {
        self.runs[prompt].values[value.index()].as_deref_mut().expect("invariant: it has been computed")
    }

    /// Other values of a weight for the nodes that have not run.
    pub fn set_weight(&mut self, w: WeightId, values: Vec<f32>) {
        assert_eq!(self.session.weights[w.index()].len(), values.len(), "the weight's shape");
        self.session.weights[w.index()] = Arc::new(values);
    }
}
