//! Properties of the machine under arbitrary sequences of events.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum MachineEvent {
    Send { bytes: u64, may_hold: bool },
    Accept,
    Step,
    Settle,
    Interrupt,
    Cancel { at: usize },
    CommandQueued,
    CommandDone,
    Stop,
    Start,
    Close,
}

fn events() -> impl Strategy<Value = Vec<MachineEvent>> {
    let event = prop_oneof![
        6 => (0..40u64, any::<bool>()).prop_map(|(bytes, may_hold)| MachineEvent::Send { bytes, may_hold }),
        6 => Just(MachineEvent::Accept),
        6 => Just(MachineEvent::Step),
        4 => Just(MachineEvent::Settle),
        1 => Just(MachineEvent::Interrupt),
        1 => (0..6usize).prop_map(|at| MachineEvent::Cancel { at }),
        1 => Just(MachineEvent::CommandQueued),
        1 => Just(MachineEvent::CommandDone),
        1 => Just(MachineEvent::Stop),
        1 => Just(MachineEvent::Start),
        1 => Just(MachineEvent::Close),
    ];
    prop::collection::vec(event, 1..120)
}

/// A machine, with the acceptances that its store still has to write, in order.
struct Model {
    machine: Machine,
    submitted: VecDeque<InputId>,
    sent: u64,
    accepted: u64,
    taken: Option<InputId>,
}

impl Model {
    fn new() -> Self {
        let machine = Machine::new(Desired::Running, Standing::Idle, Vec::new());
        Self { machine, submitted: VecDeque::new(), sent: 0, accepted: 0, taken: None }
    }

    fn send(&mut self, bytes: u64, may_hold: bool, limits: &Limits) {
        let Ok(admitted) = self.machine.admit(bytes, may_hold, limits) else { return };
        self.sent += 1;
        let id = InputId::new(self.sent, [0; 10]);
        self.machine.enqueue(id, bytes, admitted);
        if admitted != AdmittedAs::Held {
            if let Some(held) = self.machine.submit_held() {
                self.submitted.push_back(held);
            }
            self.submitted.push_back(id);
        }
    }

    fn accept(&mut self) {
        // An input behind one whose turn runs ahead is submitted only after it.
        let waits = self.machine.is_ahead();
        if let Some(id) = self.submitted.front().copied().filter(|_| !waits) {
            self.submitted.pop_front();
            self.accepted += 1;
            self.machine.accept(id, Cursor(self.accepted));
        }
    }
}

proptest! {
    #[test]
    fn inputs_are_taken_in_order_and_counted_exactly(events in events()) {
        let limits = Limits { mailbox_inputs: 6, mailbox_bytes: 100, ..Limits::default() };
        let mut model = Model::new();
        for event in events {
            match event {
                MachineEvent::Send { bytes, may_hold } => model.send(bytes, may_hold, &limits),
                MachineEvent::Accept => model.accept(),
                MachineEvent::Step if !model.machine.running => match model.machine.next() {
                    NextStep::Take => {
                        let taken = model.machine.take().map(|queued| queued.id);
                        // Ids grow, and an interrupted input is taken again.
                        prop_assert!(taken >= model.taken, "{taken:?} after {:?}", model.taken);
                        model.taken = taken;
                    }
                    NextStep::Command => {
                        if let Some(held) = model.machine.submit_held() {
                            model.submitted.push_front(held);
                        }
                    }
                    NextStep::Idle | NextStep::Exit => {}
                },
                MachineEvent::Step => {}
                MachineEvent::Settle if model.machine.running => model.machine.settle(),
                MachineEvent::Settle => {}
                // A held input that is interrupted was never accepted: the driver refuses it.
                MachineEvent::Interrupt if model.machine.is_ahead() => model.machine.settle(),
                MachineEvent::Interrupt => model.machine.interrupt(),
                MachineEvent::Cancel { at } => {
                    let id = model.machine.queue.get(at).map(|queued| queued.id);
                    if let Some(id) = id
                        && model.machine.locate(id) == InputLocation::Queued
                    {
                        model.machine.drop_queued(id);
                    }
                }
                MachineEvent::CommandQueued => model.machine.command_queued(),
                MachineEvent::CommandDone => model.machine.command_done(),
                MachineEvent::Stop => model.machine.set_desired(Desired::Stopped),
                MachineEvent::Start => model.machine.set_desired(Desired::Running),
                MachineEvent::Close => model.machine.close(),
            }
            let machine = &model.machine;
            let bytes: u64 = machine.queue.iter().map(|queued| queued.bytes).sum();
            prop_assert_eq!(machine.bytes, bytes);
            prop_assert!(machine.len() <= 6 && bytes <= 100);
            prop_assert!(!machine.running || !machine.queue.is_empty());
            let held = machine.queue.iter().filter(|queued| queued.stage == QueueStage::Held);
            prop_assert!(held.count() <= 1, "only the first input runs ahead of its acceptance");
            if machine.closing {
                prop_assert_eq!(machine.next(), NextStep::Exit);
                prop_assert_eq!(machine.admit(0, true, &limits), Err(AdmitError::Closing));
            }
        }
    }
}
