/** Cron: has the doctor look at everything once a night. */
import { defineCron } from '../../runtime/function.ts'

export default defineCron({ summary: 'Run the doctor', needs: ['AGENT'] }, async ({ AGENT }) => {
  await AGENT.startExamination()
})
