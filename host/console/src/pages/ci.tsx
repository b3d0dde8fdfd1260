// The place of a pipeline's run. Runs are shown here once this host keeps them.

import { CommandLine, Empty } from "../parts/empty";
import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function CiPage({ route }: PageProps<"ci">) {
  return (
    <Page title="Pipeline run" named={`Run ${route.run}`}>
      <Empty icon="audit" title="Runs are not kept here">
        <p>Pipelines run from the command line, and their results are shown there.</p>
        <CommandLine command="skep ci run" />
      </Empty>
    </Page>
  );
}
