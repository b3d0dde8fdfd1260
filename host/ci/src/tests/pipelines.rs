//! Random pipelines: a result is the same with the cache and without it.

use proptest::prelude::*;

use crate::action_run::CachePolicy;
use crate::tests::testing::TestProject;

#[derive(Clone, Debug)]
struct RandomStep {
    needs: Vec<prop::sample::Index>,
    uses: Vec<prop::sample::Index>,
    matrix: u8,
    sources: u8,
    seed: u64,
    env: bool,
    runs_made: bool,
    fails: bool,
}

fn steps() -> impl Strategy<Value = Vec<RandomStep>> {
    let index = || prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let step = (index(), index(), 0..4u8, 0..8u8, 0..3u64, any::<bool>(), any::<bool>(), 0..12u8);
    let step = step.prop_map(|(needs, uses, matrix, sources, seed, env, runs_made, fails)| {
        RandomStep { needs, uses, matrix, sources, seed, env, runs_made, fails: fails == 0 }
    });
    prop::collection::vec(step, 1..9)
}

fn text(steps: &[RandomStep]) -> String {
    let mut text = String::from("version = 1\n[tool.t]\nfile = \"t.wasm\"\n");
    for (at, step) in steps.iter().enumerate() {
        let earlier = |list: &[prop::sample::Index]| -> Vec<usize> {
            let mut all: Vec<_> = list.iter().filter(|_| at > 0).map(|it| it.index(at)).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let uses = earlier(&step.uses);
        text += &format!("[step.s{at}]\n");
        // Only a step without a matrix has one output of this name.
        let made = uses.iter().find(|&&it| step.runs_made && steps[it].matrix < 2);
        text += &match made {
            Some(made) => format!("wasm = \"{{s{made}}}/s{made}-1\"\n"),
            None => "tool = \"t\"\n".into(),
        };
        let needs: Vec<_> = earlier(&step.needs).iter().map(|it| format!("\"s{it}\"")).collect();
        text += &format!("needs = [{}]\n", needs.join(", "));
        let uses: Vec<_> = uses.iter().map(|it| format!("\"/in{it}\" = \"s{it}\"")).collect();
        text += &format!("in = {{ {} }}\n", uses.join(", "));
        let values: Vec<_> = (1..=step.matrix.max(1)).map(|it| format!("\"{it}\"")).collect();
        text += &format!("matrix = {{ m = [{}] }}\n", values.join(", "));
        let sources: Vec<_> = (0..3)
            .filter(|bit| step.sources >> bit & 1 == 1)
            .map(|bit| format!("\"f{bit}\""))
            .collect();
        text += &format!("src = [{}]\nseed = {}\n", sources.join(", "), step.seed);
        if step.env {
            text += "env = { A = \"{matrix.m}\" }\n";
        }
        text += &match step.fails {
            true => "args = [\"exit\", \"{matrix.m}\"]\nif = \"always\"\n".to_owned(),
            false => format!("args = [\"hash\", \"s{at}-{{matrix.m}}\"]\nout = [\"s*\"]\n"),
        };
    }
    text
}

/// Returns all that a result says but for times and origins.
fn digests(result: &crate::RunResult) -> Vec<String> {
    let step = |step: &crate::StepResult| {
        format!(
            "{} {:?} {:?} {:?} {:?}",
            step.id, step.outcome, step.exit_code, step.action, step.out
        )
    };
    result.steps.iter().map(step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn results_are_equal_with_the_cache_and_without_it(steps in steps()) {
        let text = text(&steps);
        let project =
            TestProject::new(&[("t.wasm", "p"), ("f0", "0"), ("f1", "1"), ("f2", "2")]);
        let without = project.run_with(&text, CachePolicy::Off);
        project.ran();
        let cold = project.run(&text);
        prop_assert_eq!(digests(&without), digests(&cold));
        project.ran();
        let warm = project.run(&text);
        prop_assert_eq!(digests(&without), digests(&warm));
        let ran = project.ran();
        for step in &warm.steps {
            let ok = step.as_expected && step.outcome == crate::StepOutcome::Exited;
            prop_assert_eq!(ok, step.cached.is_some(), "{}", &step.id);
            prop_assert!(!(ok && ran.contains(&step.id)), "{} ran", &step.id);
        }
        prop_assert_eq!(warm.pipeline_digest, cold.pipeline_digest);
    }
}
