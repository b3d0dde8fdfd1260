//! How many instances, memories and tables a component would have, counted without running it.
//!
//! The component format lets one line instantiate a whole subtree, so 1.4 KB can describe 33
//! million instances, and the compiler writes every one of them out: 12.7 GB before any limit of
//! the store is asked. The count takes one pass over the bytes.
//!
//! What is handed in from outside, an imported module or component, counts as nothing here; the
//! store's own limits still bound it.

use skep_protocol::{LimitName, Limits};
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, MemoryType, Payload, TableType,
};

/// Elements that each single table has room for in the engine's pool, whatever a worker's limit on
/// all of them is.
pub(crate) const TABLE_ELEMENTS: u64 = 65_536;

/// What an instantiation would allocate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Instances of core modules.
    pub core_instances: u64,
    /// Instances of components below the outermost.
    pub component_instances: u64,
    /// Linear memories.
    pub memories: u64,
    /// Tables.
    pub tables: u64,
    /// What the memories have at the start, in bytes.
    pub memory_bytes: u64,
    /// What the tables have at the start.
    pub table_elements: u64,
    /// What the largest of them has.
    pub largest_table: u64,
}

impl Census {
    /// The first limit that it passes, with the count.
    ///
    /// Component instances are held to `core_instances` as well: they cost the compiler as much.
    pub fn exceeds(&self, limits: &Limits) -> Option<(LimitName, u64)> {
        [
            (LimitName::core_instances, self.core_instances.max(self.component_instances)),
            (LimitName::memories, self.memories),
            (LimitName::tables, self.tables),
            (LimitName::memory_bytes, self.memory_bytes),
            (LimitName::table_elements, self.table_elements),
        ]
        .into_iter()
        .find(|&(name, count)| count > limits.get(name))
    }

    fn add(&mut self, other: Self) {
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.component_instances =
            self.component_instances.saturating_add(other.component_instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.table_elements = self.table_elements.saturating_add(other.table_elements);
        self.largest_table = self.largest_table.max(other.largest_table);
    }

    fn add_memory(&mut self, memory: &MemoryType) {
        let bytes =
            u128::from(memory.initial) << memory.page_size_log2.unwrap_or(PAGE_LOG2).min(64);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.add(Self { memories: 1, memory_bytes: bytes, ..Self::default() });
    }

    fn add_table(&mut self, table: &TableType) {
        let elements = table.initial;
        self.add(Self {
            tables: 1,
            table_elements: elements,
            largest_table: elements,
            ..Self::default()
        });
    }
}

/// A page of memory is 64 KiB, unless the memory says otherwise.
const PAGE_LOG2: u32 = 16;

/// Counts while a parser walks the file.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    is_module: bool,
    modules: Vec<Census>,
    components: Vec<Census>,
    total: Census,
}

impl Counter {
    /// How deep the parser is: 1 in the outermost module or component.
    pub(crate) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Takes note of one payload. Returns the total when the outermost ends.
    pub(crate) fn visit(&mut self, payload: &Payload<'_>) -> wasmparser::Result<Option<Census>> {
        match payload {
            Payload::Version { encoding, .. } => {
                let is_module = *encoding == wasmparser::Encoding::Module;
                self.levels.push(Level { is_module, ..Level::default() });
            }
            Payload::End(_) => return Ok(self.end()),
            _ => {}
        }
        let Some((level, outer)) = self.levels.split_last_mut() else { return Ok(None) };
        match payload {
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    level.total.add_memory(&memory?);
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    level.total.add_table(&table?.ty);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        let census = get(&level.modules, module_index);
                        level.total.add(census);
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        let census = get(&level.components, component_index);
                        level.total.add(census);
                        level.total.add(Census { component_instances: 1, ..Census::default() });
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    match import?.ty {
                        ComponentTypeRef::Module(_) => level.modules.push(Census::default()),
                        ComponentTypeRef::Component(_) => level.components.push(Census::default()),
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Module => {
                            level.modules.push(get(&level.modules, export.index));
                        }
                        ComponentExternalKind::Component => {
                            level.components.push(get(&level.components, export.index));
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    match alias? {
                        ComponentAlias::Outer { kind, count, index } => {
                            let source = match (count as usize).checked_sub(1) {
                                None => Some(&*level),
                                Some(up) => outer.iter().rev().nth(up),
                            };
                            let (modules, components) = match source {
                                Some(source) => {
                                    (get(&source.modules, index), get(&source.components, index))
                                }
                                None => Default::default(),
                            };
                            match kind {
                                ComponentOuterAliasKind::CoreModule => level.modules.push(modules),
                                ComponentOuterAliasKind::Component => {
                                    level.components.push(components);
                                }
                                _ => {}
                            }
                        }
                        ComponentAlias::InstanceExport { kind, .. } => match kind {
                            ComponentExternalKind::Module => level.modules.push(Census::default()),
                            ComponentExternalKind::Component => {
                                level.components.push(Census::default());
                            }
                            _ => {}
                        },
                        ComponentAlias::CoreInstanceExport { .. } => {}
                    }
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn end(&mut self) -> Option<Census> {
        let level = self.levels.pop()?;
        let mut census = level.total;
        if level.is_module {
            census.core_instances = 1;
        }
        match self.levels.last_mut() {
            Some(parent) if level.is_module => parent.modules.push(census),
            Some(parent) => parent.components.push(census),
            None => return Some(census),
        }
        None
    }
}

/// An index that names nothing is the validator's to report.
fn get(space: &[Census], index: u32) -> Census {
    space.get(index as usize).copied().unwrap_or_default()
}
