import unittest

import calc


class Div(unittest.TestCase):
    def test_rounds_down(self):
        self.assertEqual(calc.div(7, 2), 3)
        self.assertEqual(calc.div(-7, 2), -4)

    def test_refuses_zero(self):
        with self.assertRaises(ValueError):
            calc.div(1, 0)
