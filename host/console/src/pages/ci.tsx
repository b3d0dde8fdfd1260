// A step of a pipeline run. The address is kept for it: links to steps that are made today stay
// good.

import { Empty } from "../parts/empty";
import { Id } from "../parts/name";
import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function CiPage({ route }: PageProps<"ci">) {
  const { run, step } = route;
  return (
    <Page title="Pipeline run" named={`Run ${run}`}>
      <Empty icon="clock" title="No pipelines here yet">
        <p>
          This is the address of run <Id id={run} whole />
          {step !== null && (
            <>
              , step <Id id={step} whole />
            </>
          )}
          . This host does not run pipelines, so it has nothing to show.
        </p>
      </Empty>
    </Page>
  );
}
