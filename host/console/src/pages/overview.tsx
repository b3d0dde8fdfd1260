// The overview: whether all is well, what needs attention, the runtimes with their hosts, and what
// changed last.

import { runtimes } from "../api/fleet";
import { chooseFile } from "../flows/new-worker-source";
import { Button } from "../parts/button";
import { CommandLine, Empty } from "../parts/empty";
import { Loaded, Skeleton } from "../parts/load";
import { Page } from "../parts/page";
import { State } from "../parts/state";
import { grouped } from "../text/bytes";
import { Attention, attention, unlisted } from "./overview/attention";
import { useFigures } from "./overview/figures";
import { Recent } from "./overview/recent";
import { RuntimeCards } from "./overview/runtimes";
import { StateBar } from "./overview/states";

export default function OverviewPage() {
  const figures = useFigures();
  const known = runtimes.value;
  const needs = figures.value && attention(figures.value, known ?? []);
  const more = figures.value ? unlisted(figures.value) : 0;
  const empty = figures.value?.counts?.total === 0;
  return (
    <Page
      title="Overview"
      beside={needs && <Verdict count={needs.length + more} />}
      actions={
        <Button first icon="plus" needs="operator" onClick={chooseFile}>
          New worker
        </Button>
      }
    >
      <Loaded load={figures} lines={4}>
        {(value) =>
          empty ? (
            <Beginning />
          ) : (
            <>
              <StateBar
                counts={value.counts}
                without={(known ?? [])
                  .filter(({ status }) => status === "unavailable")
                  .map(({ display_name }) => display_name)}
              />
              <div class="overview-columns">
                <Attention needs={needs ?? []} more={more} />
                <Recent workers={value.recent} />
              </div>
            </>
          )
        }
      </Loaded>
      {known ? <RuntimeCards runtimes={known} /> : <Skeleton />}
    </Page>
  );
}

function Verdict({ count }: { count: number }) {
  if (count === 0) return <State word="All is well" tone="good" shape="tick" />;
  const words = count === 1 ? "One thing needs attention" : `${grouped(count)} things need attention`;
  return <State word={words} tone="warn" shape="triangle" />;
}

function Beginning() {
  return (
    <section class="card">
      <Empty icon="workers" title="Nothing runs here yet">
        <p>
          Drop a WebAssembly component anywhere here to see what it is, what it would be allowed to do, and to run
          it. A terminal does the same.
        </p>
        <Button first icon="upload" needs="operator" onClick={chooseFile}>
          Choose a component
        </Button>
        <CommandLine command="skep worker create counter.wasm --name tally" />
      </Empty>
    </section>
  );
}
