use super::*;
use skep_protocol::FailedReason;

fn id(n: u64) -> InputId {
    InputId::new(n, [0; 10])
}

fn machine() -> Machine {
    Machine::new(Desired::Running, Standing::Idle, Vec::new())
}

fn admit(machine: &mut Machine, n: u64, hold: bool) -> AdmittedAs {
    let admitted = machine.admit(10, hold, &Limits::default()).unwrap();
    machine.enqueue(id(n), 10, admitted);
    admitted
}

#[test]
fn an_awaited_input_of_an_idle_worker_is_held() {
    let mut machine = machine();
    assert_eq!(admit(&mut machine, 1, true), AdmittedAs::Held);
    assert_eq!(machine.next(), NextStep::Take);
    assert_eq!(admit(&mut machine, 2, true), AdmittedAs::Behind);
}

#[test]
fn a_submitted_input_is_not_taken() {
    let mut machine = machine();
    assert_eq!(admit(&mut machine, 1, false), AdmittedAs::First);
    assert_eq!(machine.next(), NextStep::Idle);
    machine.accept(id(1), Cursor(5));
    assert_eq!(machine.next(), NextStep::Take);
}

#[test]
fn mailbox_inputs() {
    let limits = Limits { mailbox_inputs: 2, ..Limits::default() };
    let mut machine = machine();
    for n in 0..2 {
        let admitted = machine.admit(1, false, &limits).unwrap();
        machine.enqueue(id(n), 1, admitted);
    }
    assert_eq!(machine.admit(1, false, &limits), Err(AdmitError::Full(LimitName::mailbox_inputs)));
}

#[test]
fn mailbox_bytes() {
    let limits = Limits { mailbox_bytes: 100, ..Limits::default() };
    let mut machine = machine();
    let admitted = machine.admit(60, false, &limits).unwrap();
    machine.enqueue(id(1), 60, admitted);
    assert_eq!(machine.admit(41, false, &limits), Err(AdmitError::Full(LimitName::mailbox_bytes)));
    assert!(machine.admit(40, false, &limits).is_ok());
}

#[test]
fn a_stopped_or_failed_worker_neither_admits_nor_takes_inputs() {
    let queue = vec![Queued {
        id: id(1),
        bytes: 1,
        attempt: 0,
        interrupted: false,
        stage: QueueStage::Accepted(Cursor(1)),
    }];
    let stopped = Machine::new(Desired::Stopped, Standing::Stopped, queue.clone());
    assert_eq!(stopped.next(), NextStep::Idle);
    assert_eq!(stopped.admit(1, true, &Limits::default()), Err(AdmitError::Stopped));
    let failed = Machine::new(Desired::Running, Standing::Failed(FailedReason::CrashLoop), queue);
    assert_eq!(failed.next(), NextStep::Idle);
    assert_eq!(failed.admit(1, true, &Limits::default()), Err(AdmitError::Failed));
}

#[test]
fn commands_take_priority_over_inputs() {
    let mut machine = machine();
    admit(&mut machine, 1, true);
    machine.command_queued();
    assert_eq!(machine.next(), NextStep::Command);
    machine.command_done();
    assert_eq!(machine.next(), NextStep::Take);
}

#[test]
fn the_next_attempt_begins_with_the_commit_of_the_turn_before() {
    let mut machine = machine();
    admit(&mut machine, 1, true);
    admit(&mut machine, 2, false);
    machine.take();
    assert_eq!(machine.successor(), None, "not on disk yet");
    machine.accept(id(2), Cursor(9));
    assert_eq!(machine.successor(), Some(id(2)));
    machine.settle();
    machine.begun(id(2), 1);
    assert_eq!(machine.next(), NextStep::Take);
    assert_eq!(machine.take().unwrap().attempt, 1);
}

#[test]
fn a_restored_input_keeps_its_place() {
    let mut machine = machine();
    for n in 1..=3 {
        admit(&mut machine, n, false);
        machine.accept(id(n), Cursor(n));
    }
    machine.take();
    let second = machine.get(id(2)).unwrap().clone();
    machine.drop_queued(id(2));
    machine.restore(second);
    let order: Vec<_> = machine.queue.iter().map(|queued| queued.id).collect();
    assert_eq!(order, [id(1), id(2), id(3)]);
}

/// Runs ten thousand random sequences and checks the invariants after every step.
#[test]
fn inputs_are_taken_once_and_in_order() {
    for seed in 1..=10_000u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut roll = move |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        let limits = Limits { mailbox_inputs: 4, mailbox_bytes: 100, ..Limits::default() };
        let mut machine = machine();
        let (mut sent, mut seq) = (0, 0);
        let mut pending: VecDeque<InputId> = VecDeque::new();
        let mut expected: VecDeque<InputId> = VecDeque::new();
        for _ in 0..60 {
            match roll(10) {
                0..=2 => {
                    let hold = roll(2) == 0;
                    if let Ok(admitted) = machine.admit(roll(40), hold, &limits) {
                        sent += 1;
                        machine.enqueue(id(sent), 30, admitted);
                        expected.push_back(id(sent));
                        if admitted != AdmittedAs::Held {
                            pending.push_back(id(sent));
                        }
                    }
                }
                3 => {
                    if let Some(next) = pending.pop_front() {
                        seq += 1;
                        machine.accept(next, Cursor(seq));
                    }
                }
                4 => {
                    if let Some(refused) = pending.pop_front() {
                        machine.drop_queued(refused);
                        expected.retain(|other| *other != refused);
                    }
                }
                5..=6 if !machine.is_running() && machine.next() == NextStep::Take => {
                    let taken = machine.take().unwrap();
                    assert_eq!(Some(&taken.id), expected.front(), "seed {seed}");
                    assert_ne!(taken.stage, QueueStage::Submitted, "seed {seed}");
                    assert!(!pending.contains(&taken.id), "seed {seed}");
                }
                7 if machine.is_running() => {
                    machine.settle();
                    expected.pop_front();
                }
                8 if machine.is_running() => {
                    // A held input whose commit failed is gone; an accepted one runs again.
                    let first = machine.get(expected[0]).unwrap();
                    match first.stage {
                        QueueStage::Held => {
                            machine.settle();
                            expected.pop_front();
                        }
                        _ => machine.interrupt(),
                    }
                }
                9 => {
                    let desired = if roll(2) == 0 { Desired::Stopped } else { Desired::Running };
                    machine.set_desired(desired);
                }
                _ => {}
            }
            assert_eq!(machine.len(), expected.len(), "seed {seed}");
            assert_eq!(machine.bytes, 30 * machine.len() as u64, "seed {seed}");
            assert!(!machine.is_running() || !machine.queue.is_empty(), "seed {seed}");
            if machine.desired == Desired::Stopped {
                assert_eq!(machine.next(), NextStep::Idle, "seed {seed}");
            }
        }
    }
}
