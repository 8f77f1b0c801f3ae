//! The graph's printed form and its verifier, on graphs small enough to read.

use flightvlm_compiler::graph::{
    ActKind, Graph, ImageExtents, InputKind, Op, Rows, ValueId, ValueType, WeightId,
};

/// Tokens -> embedding -> norm -> activation -> head, with one picture row merged in.
fn tiny() -> Graph {
    let mut g = Graph {
        image: Some(ImageExtents { patch_count: 4, visual_token_count: 4, frame_token_count: 0 }),
        ..Default::default()
    };
    let patches = |cols| ValueType::new(Rows::Patches { with_class: false }, cols);
    let prompt = |cols| ValueType::new(Rows::Prompt, cols);
    let patch_w = g.add_weight("patch.weight", &[8, 12]);
    let table = g.add_weight("embed.weight", &[16, 8]);
    let norm = g.add_weight("norm.weight", &[8]);
    let pixels = g.push("pixel_values", Op::Input(InputKind::Pixels), &[], patches(12));
    let x = g.push("patch", Op::Linear { w: patch_w, b: None }, &[pixels], patches(8));
    let image = g.push(
        "select",
        Op::SelectRows { skip: 0, join: 1, pooled: false },
        &[x],
        ValueType::new(Rows::Image, 8),
    );
    let ids = g.push("input_ids", Op::Input(InputKind::TokenIds), &[], prompt(1));
    let x = g.push("embed", Op::Embedding { w: table }, &[ids], prompt(8));
    let x = g.push(
        "merge",
        Op::MergeImageRows { placeholder: 7, video: None, learned: None },
        &[x, image],
        prompt(8),
    );
    let x = g.push("norm", Op::RmsNorm { w: norm, eps: 1e-6 }, &[x], prompt(8));
    let x = g.push("act", Op::Act(ActKind::Silu), &[x], prompt(8));
    let logits = g.push("head", Op::Linear { w: table, b: None }, &[x], prompt(16));
    g.push_output("logits", logits);
    g
}

#[test]
fn a_graph_prints_as_expected() {
    let expected = r#"graph {
  image patches=4 visual_tokens=4
  @w0 = weight "patch.weight" [8, 12]
  @w1 = weight "embed.weight" [16, 8]
  @w2 = weight "norm.weight" [8]
  n0: %v0 = input.pixels -> [patches, 12]  ; pixel_values
  n1: %v1 = linear %v0 @w0 -> [patches, 8]  ; patch
  n2: %v2 = select_rows %v1 skip=0 join=1 -> [image, 8]  ; select
  n3: %v3 = input.token_ids -> [prompt, 1]  ; input_ids
  n4: %v4 = embedding %v3 @w1 -> [prompt, 8]  ; embed
  n5: %v5 = merge_image_rows %v4, %v2 placeholder=7 -> [prompt, 8]  ; merge
  n6: %v6 = rms_norm %v5 @w2 eps=1e-6 -> [prompt, 8]  ; norm
  n7: %v7 = act %v6 silu -> [prompt, 8]  ; act
  n8: %v8 = linear %v7 @w1 -> [prompt, 16]  ; head
  n9: output %v8  ; logits
}
"#;
    assert_eq!(tiny().to_string(), expected);
    assert_eq!(tiny().verify(), []);
}

#[test]
fn the_verifier_reports_every_fault() {
    let mut g = tiny();
    g.weights[0].shape = vec![8, 11];
    g.nodes[6].inputs = vec![ValueId(8)];
    g.nodes[7].inputs = vec![ValueId(99)];
    g.values[8] = ValueType::new(Rows::Image, 16);
    if let Op::Linear { w, .. } = &mut g.nodes[8].op {
        *w = WeightId(40);
    }
    let text: Vec<String> = g.verify().iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "n1 (patch): @w0 (patch.weight): expected shape [8, 12], got [8, 11]",
            "n6 (norm): %v8 is used before its definition",
            "n7 (act): %v99 does not exist",
            "n8 (head): @w40 does not exist",
            // A result of image rows is the vector of a picture.
            "graph: expected 1 output node, got 0",
            "graph: expected 1 merge_image_rows, got 2",
        ]
    );
}

#[test]
fn whole_graph_rules_are_checked() {
    let mut g = tiny();
    g.nodes.pop();
    g.image = None;
    let text: Vec<String> = g.verify().iter().map(ToString::to_string).collect();
    assert!(text.iter().any(|e| e == "graph: expected 1 output node, got 0"), "{text:?}");
    assert!(text.iter().any(|e| e == "graph: expected 0 merge_image_rows, got 1"), "{text:?}");
}
