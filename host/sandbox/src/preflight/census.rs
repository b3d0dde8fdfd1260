//! Counts the instances, memories and tables of a component without running it.
//!
//! In the component format, one line can instantiate a whole subtree. 1.4 KB can describe 33
//! million instances, and the compiler writes out every one of them: 12.7 GB before any limit of
//! the store applies. This count takes one pass over the bytes.
//!
//! Imported modules and components count as nothing here. The store's own limits still apply to
//! them.

use skep_protocol::{LimitName, Limits};
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Instance, MemoryType, Payload, TableType,
};

/// Maximum elements of one table in the engine's pool, regardless of a worker's limit on all its
/// tables.
pub(crate) const TABLE_ELEMENTS: u64 = 65_536;

/// Maximum bytes of one memory in the engine's pool, regardless of a worker's limit on all its
/// memories.
pub(crate) const MEMORY_BYTES: u64 = 4 << 30;

/// The allocations of one instantiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Instances of core modules.
    pub core_instances: u64,
    /// Instances of nested components.
    pub component_instances: u64,
    /// Linear memories.
    pub memories: u64,
    /// Tables.
    pub tables: u64,
    /// Initial size of all memories, in bytes.
    pub memory_bytes: u64,
    /// Initial size of the largest memory, in bytes.
    pub largest_memory: u64,
    /// Initial size of all tables, in elements.
    pub table_elements: u64,
    /// Initial size of the largest table.
    pub largest_table: u64,
}

impl Census {
    /// Returns the first limit that is exceeded, with the count.
    ///
    /// Component instances are checked against `core_instances` too, because they cost the compiler
    /// as much.
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
        self.largest_memory = self.largest_memory.max(other.largest_memory);
        self.table_elements = self.table_elements.saturating_add(other.table_elements);
        self.largest_table = self.largest_table.max(other.largest_table);
    }

    fn add_memory(&mut self, memory: &MemoryType) {
        let bytes =
            u128::from(memory.initial) << memory.page_size_log2.unwrap_or(PAGE_LOG2).min(64);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.add(Self {
            memories: 1,
            memory_bytes: bytes,
            largest_memory: bytes,
            ..Self::default()
        });
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

/// The default page size is 64 KiB.
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

impl Level {
    /// Adds an alias of a module or component to the index space.
    fn alias(&mut self, outer: &[Self], alias: ComponentAlias<'_>) {
        match alias {
            ComponentAlias::Outer { kind, count, index } => {
                let source = match (count as usize).checked_sub(1) {
                    None => Some(&*self),
                    Some(up) => outer.iter().rev().nth(up),
                };
                let (modules, components) = match source {
                    Some(source) => (get(&source.modules, index), get(&source.components, index)),
                    None => Default::default(),
                };
                match kind {
                    ComponentOuterAliasKind::CoreModule => self.modules.push(modules),
                    ComponentOuterAliasKind::Component => {
                        self.components.push(components);
                    }
                    _ => {}
                }
            }
            ComponentAlias::InstanceExport { kind, .. } => match kind {
                ComponentExternalKind::Module => self.modules.push(Census::default()),
                ComponentExternalKind::Component => {
                    self.components.push(Census::default());
                }
                _ => {}
            },
            ComponentAlias::CoreInstanceExport { .. } => {}
        }
    }
}

impl Counter {
    /// Returns the nesting depth: 1 in the outermost module or component.
    pub(crate) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Counts one payload. Returns the total at the end of the outermost module or component.
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
                    level.alias(outer, alias?);
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

/// The validator reports an index that is out of bounds.
fn get(space: &[Census], index: u32) -> Census {
    space.get(index as usize).copied().unwrap_or_default()
}
