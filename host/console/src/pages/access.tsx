// The page "access".

import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function AccessPage(_: PageProps<"access">) {
  return <Page title="Access">{null}</Page>;
}
