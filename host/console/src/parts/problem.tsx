// A failure where the missing thing would have been: the sentence, the code, and the next step.

import { Problem, sentence } from "../api/problem";
import { Button } from "./button";
import { Icon } from "./icon";

export function ProblemView({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = error instanceof Problem ? error : null;
  const needs = problem?.needs && "role" in problem.needs ? problem.needs.role : undefined;
  return (
    <div class="problem" role="alert">
      <Icon name="error" />
      <div class="grow stack">
        <p>
          {sentence(error)}
          {needs && !sentence(error).includes(needs) && ` It needs the role ${needs}.`}
        </p>
        {problem && (
          <p class="code small">
            <code>{problem.code}</code> {problem.subject && <bdi>{problem.subject}</bdi>}
          </p>
        )}
      </div>
      {retry && (
        <Button icon="retry" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}
