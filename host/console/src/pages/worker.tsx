// The page "worker".

import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function WorkerPage(_: PageProps<"worker">) {
  return <Page title="Worker">{null}</Page>;
}
